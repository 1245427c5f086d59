//! Every recording of a data set that failed, with the reason.

use tokio::task::spawn_blocking;
use voxage_contract::{Name, Recording, Reject, keys};
use voxage_shards::{Columns, Shard};
use voxage_transport::Store;

use crate::register::Register;
use crate::survey::{Seen, survey};
use crate::{Error, Result, submit};

/// Gives each reject that counts to `each`, sealed or not, under the newest batch's spec.
///
/// # Errors
/// If the data set has no batch, the store fails, or a shard is damaged.
pub async fn rejects(
    store: &dyn Store,
    dataset: &Name,
    mut each: impl FnMut(Recording, Reject),
) -> Result<()> {
    let newest = Register::read(store, dataset).await?.newest();
    let newest = newest.ok_or_else(|| Error::Empty(dataset.to_string()))?;
    let spec = submit::read(store, dataset, newest).await?.spec.id();
    let survey = survey(store, dataset, &spec, &mut Seen::new()).await?;
    for sealed in survey.made().filter(|shard| shard.rejects > 0) {
        let key = keys::shard(dataset, &spec, &sealed.id);
        let (bytes, replaced) = (store.get(&key).await?, sealed.replaced.clone());
        let found = spawn_blocking(move || {
            let mut found = Vec::new();
            for (i, row) in (0..).zip(Shard::open(bytes)?.rows(Columns::Table)?) {
                let row = row?;
                if let Err(reject) = row.outcome
                    && !replaced.contains(&i)
                {
                    found.push((row.recording, reject));
                }
            }
            Ok::<_, voxage_shards::Error>(found)
        });
        let found = found.await?.map_err(|error| Error::damaged(&key, error))?;
        found.into_iter().for_each(|(recording, reject)| each(recording, reject));
    }
    Ok(())
}
