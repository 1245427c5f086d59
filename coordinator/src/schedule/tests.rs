//! A year of nights in seconds: several coordinators, none of which lives long.

mod world;

use std::collections::BTreeSet;
use std::sync::Arc;

use voxage_contract::training::TrainSettings;
use voxage_contract::{FeatureSpec, Name, Rng, ShardLimits, keys};
use voxage_transport::source::{Sources, root};
use voxage_transport::{Dir, InProcess, Store, StoreExt as _};

use super::firing::{Firing, Outcome, firings};
use super::stages::{Stages as _, Work};
use super::{
    Calendar, Instant, Missed, Night, Overlap, Schedule, Start, State, put, retry, run_now,
};
use crate::registry::Gate;
use world::{Deadly, World};

fn name() -> Name {
    Name::nearest("nightly")
}

fn at(text: &str) -> Instant {
    text.parse().unwrap()
}

fn nightly(missed: Missed, overlap: Overlap) -> Schedule {
    Schedule {
        cron: "30 2 * * *".into(),
        zone: "Europe/Rome".into(),
        source: "file:///manifests/".into(),
        audio_root: None,
        dataset: Name::nearest("calls"),
        spec: FeatureSpec::default(),
        shards: ShardLimits { recordings: 256, bytes: 1 << 27 },
        model: Name::nearest("age"),
        settings: Default::default(),
        start: Start::Scratch,
        gate: Gate::default(),
        missed,
        overlap,
        state: State::Active,
        since: at("20260101T000000Z"),
    }
}

/// One look, by a process that may die of it.
async fn look(store: &Deadly, world: &World, process: &str, now: Instant) {
    let _ = Night { store, stages: world, process, now }.tend().await;
}

async fn all(store: &Deadly) -> Vec<Firing> {
    *store.dice.lock().unwrap() = None;
    firings(store, &name()).await.unwrap()
}

#[tokio::test]
async fn a_year_of_nights_fires_each_night_once_whoever_dies() {
    for seed in 0..3 {
        let (store, world) = (Deadly::default(), World::default());
        put(&store, &name(), &nightly(Missed::Run, Overlap::Queue)).await.unwrap();
        *store.dice.lock().unwrap() = Some(Rng::new(&[seed]));
        let mut rng = Rng::new(&[seed, 1]);
        let (mut now, end) = (at("20260101T000000Z"), at("20270101T000000Z"));
        while now < end {
            now.0 += 60 + rng.below(7000) as i64;
            // Clocks differ, and two look at the same time.
            let other = Instant(now.0 - rng.below(20) as i64);
            tokio::join!(look(&store, &world, "a", now), look(&store, &world, "b", other));
        }
        let fired = all(&store).await;
        let calendar = Calendar::new("30 2 * * *", "Europe/Rome").unwrap();
        let mut expected = BTreeSet::new();
        let mut due = at("20260101T000000Z");
        while let Some(next) = calendar.next(due).filter(|next| *next < end) {
            expected.insert(next);
            due = next;
        }
        assert_eq!(expected.len(), 365);
        let found: BTreeSet<_> = fired.iter().map(|firing| firing.due).collect();
        assert_eq!(found, expected, "seed {seed}");
        let open = fired.iter().filter(|firing| firing.end.is_none()).count();
        assert!(open <= 1, "seed {seed}: {open} firings did not end");
        // What was promoted is what was decided, whoever died between the two.
        let promoted: BTreeSet<_> = world.promoted.lock().unwrap().iter().copied().collect();
        let decided = fired.iter().filter_map(|firing| firing.decided.as_ref());
        let decided = decided.filter(|entry| entry.done.promote).map(|entry| entry.done.candidate);
        assert_eq!(promoted, decided.collect(), "seed {seed}");
        assert!(promoted.len() > 50);
    }
}

#[tokio::test]
async fn what_was_missed_is_run_late_once_or_left_out() {
    for (missed, outcome) in [(Missed::Run, None), (Missed::Skip, Some(Outcome::Skipped))] {
        let (store, world) = (Deadly::default(), World::default());
        put(&store, &name(), &nightly(missed, Overlap::Skip)).await.unwrap();
        // Nobody was there for three nights.
        look(&store, &world, "a", at("20260104T120000Z")).await;
        look(&store, &world, "b", at("20260104T120010Z")).await;
        let fired = all(&store).await;
        assert_eq!(fired.len(), 1, "{fired:?}");
        assert_eq!((fired[0].due, fired[0].claim.missed), (at("20260104T013000Z"), 3));
        assert_eq!(fired[0].end.as_ref().map(|end| end.outcome), outcome);
        // A clock that is set back fires nothing again.
        look(&store, &world, "a", at("20260103T013001Z")).await;
        assert_eq!(all(&store).await.len(), 1);
    }
}

#[tokio::test]
async fn one_that_is_at_work_keeps_the_next_waiting_or_out() {
    for (overlap, outcome) in [(Overlap::Queue, None), (Overlap::Skip, Some(Outcome::Skipped))] {
        let (store, world) = (Deadly::default(), World::default());
        put(&store, &name(), &nightly(Missed::Run, overlap)).await.unwrap();
        look(&store, &world, "a", at("20260102T013001Z")).await;
        look(&store, &world, "a", at("20260103T013001Z")).await;
        let fired = all(&store).await;
        assert_eq!(fired.len(), 2);
        assert!(fired[0].end.is_none() && fired[1].taken_in.is_none());
        assert_eq!(fired[1].end.as_ref().map(|end| end.outcome), outcome);
        for second in 2..40 {
            look(&store, &world, "a", Instant(at("20260103T013000Z").0 + second)).await;
        }
        // The newest may have taken nothing in: then the last that did is of them, too.
        let recent = super::recent(&store, &name()).await.unwrap();
        assert!(recent.iter().all(|firing| firing.end.is_some()), "{recent:?}");
        assert!(recent.iter().any(|firing| firing.taken_in.is_some()), "{recent:?}");
    }
}

#[tokio::test]
async fn a_pause_withdraws_what_waits_and_a_removal_what_is_at_work() {
    let (store, world) = (Deadly::default(), World::default());
    let schedule = nightly(Missed::Run, Overlap::Queue);
    put(&store, &name(), &schedule).await.unwrap();
    // Sealed at the third look, trained at the sixth: each look at the training counts.
    for second in 0..3 {
        look(&store, &world, "a", Instant(at("20260102T013001Z").0 + second)).await;
    }
    look(&store, &world, "a", at("20260103T013001Z")).await;
    let paused = Schedule { state: State::Paused, ..schedule.clone() };
    put(&store, &name(), &paused).await.unwrap();
    *world.looks.lock().unwrap() = 3;
    look(&store, &world, "a", at("20260104T013001Z")).await;
    let fired = all(&store).await;
    assert_eq!(fired.len(), 2, "a paused schedule fires");
    assert_eq!(fired[1].end.as_ref().unwrap().outcome, Outcome::Withdrawn);
    assert!(fired[0].end.is_none() && fired[0].sealed.is_some() && fired[0].trained.is_none());
    put(&store, &name(), &Schedule { state: State::Removed, ..schedule }).await.unwrap();
    look(&store, &world, "a", at("20260105T013001Z")).await;
    assert_eq!(all(&store).await[0].end.as_ref().unwrap().outcome, Outcome::Withdrawn);
    assert_eq!(*world.withdrawn.lock().unwrap(), 1);
}

#[tokio::test]
async fn what_is_at_work_in_a_pause_is_promoted_after_it() {
    let (store, world) = (Deadly::default(), World::default());
    let schedule = nightly(Missed::Run, Overlap::Queue);
    put(&store, &name(), &schedule).await.unwrap();
    let look_at = |second| look(&store, &world, "a", Instant(at("20260102T013001Z").0 + second));
    look_at(0).await;
    put(&store, &name(), &Schedule { state: State::Paused, ..schedule.clone() }).await.unwrap();
    for second in 1..10 {
        look_at(second).await;
    }
    let firing = all(&store).await.remove(0);
    assert!(firing.decided.unwrap().done.promote && firing.end.is_none());
    assert!(world.promoted.lock().unwrap().is_empty(), "promoted in a pause");
    put(&store, &name(), &schedule).await.unwrap();
    look_at(10).await;
    assert_eq!(all(&store).await[0].end.as_ref().unwrap().outcome, Outcome::Promoted);
    assert_eq!(world.promoted.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_manifest_is_entered_once_whoever_takes_it_in() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("manifests");
    std::fs::create_dir(&source).unwrap();
    let add = |name: &str, id: &str| {
        std::fs::write(source.join(name), format!("id,path,age\n{id},{id}.wav,30\n")).unwrap();
    };
    let store: Arc<dyn Store> = Arc::new(Dir::open(folder.path().join("root")).unwrap());
    let trainings = Arc::new(InProcess::new(10));
    let work = Work { store: Arc::clone(&store), trainings, sources: Sources::any() };
    let root = root(source.to_str().unwrap()).unwrap();
    let schedule = Schedule { source: root, ..nightly(Missed::Run, Overlap::Queue) };
    let batches = async || store.keys(&keys::batches(&schedule.dataset)).await.unwrap().len();
    add("a.csv", "1");
    let (one, other) = tokio::join!(work.take_in(&schedule), work.take_in(&schedule));
    assert_eq!(one.unwrap().manifests[0].batch, other.unwrap().manifests[0].batch);
    assert_eq!(batches().await, 1, "two coordinators entered it twice");
    // What a schedule has taken in is known to every schedule of the data set, by content.
    add("b.csv", "1");
    add("c.csv", "2");
    let second = Schedule { model: Name::nearest("other"), ..schedule.clone() };
    let taken = work.take_in(&second).await.unwrap();
    assert_eq!((taken.manifests.len(), taken.known), (1, 2), "{taken:?}");
    assert_eq!(batches().await, 2);
}

#[tokio::test]
async fn a_training_is_asked_for_once_and_again_by_a_retry() {
    let (store, world) = (Deadly::default(), World::default());
    put(&store, &name(), &nightly(Missed::Run, Overlap::Skip)).await.unwrap();
    *world.untrainable.lock().unwrap() = true;
    for second in 0..20 {
        look(&store, &world, "a", Instant(at("20260102T013001Z").0 + second)).await;
    }
    assert!(all(&store).await[0].failures[0].why.contains("training failed"));
    assert_eq!(*world.asked.lock().unwrap(), 1);
    *world.untrainable.lock().unwrap() = false;
    retry(&store, &name(), at("20260102T020000Z")).await.unwrap();
    for second in 0..20 {
        look(&store, &world, "a", Instant(at("20260102T020000Z").0 + second)).await;
    }
    assert!(all(&store).await[0].end.is_some());
    assert_eq!(*world.asked.lock().unwrap(), 2);
}

#[tokio::test]
async fn a_failure_ends_once_a_later_firing_went_through() {
    let (store, world) = (Deadly::default(), World::default());
    put(&store, &name(), &nightly(Missed::Run, Overlap::Skip)).await.unwrap();
    *world.broken.lock().unwrap() = true;
    look(&store, &world, "a", at("20260102T013001Z")).await;
    assert!(all(&store).await[0].failed());
    *world.broken.lock().unwrap() = false;
    for second in 0..20 {
        look(&store, &world, "a", Instant(at("20260103T013001Z").0 + second)).await;
    }
    let fired = all(&store).await;
    assert_eq!(fired[0].end.as_ref().unwrap().outcome, Outcome::Withdrawn);
    assert!(fired[1].decided.is_some() && fired[1].end.is_some());
}

#[tokio::test]
async fn what_was_removed_is_withdrawn_though_its_name_was_added_again() {
    let (store, world) = (Deadly::default(), World::default());
    let schedule = nightly(Missed::Run, Overlap::Skip);
    put(&store, &name(), &schedule).await.unwrap();
    for second in 0..4 {
        look(&store, &world, "a", Instant(at("20260102T013001Z").0 + second)).await;
    }
    assert_eq!(*world.asked.lock().unwrap(), 1);
    let removed = Schedule { state: State::Removed, ..schedule.clone() };
    put(&store, &name(), &removed).await.unwrap();
    let since = at("20260102T020000Z");
    put(&store, &name(), &Schedule { since, ..schedule }).await.unwrap();
    look(&store, &world, "a", at("20260102T020001Z")).await;
    assert_eq!(all(&store).await[0].end.as_ref().unwrap().outcome, Outcome::Withdrawn);
    assert_eq!(*world.withdrawn.lock().unwrap(), 1);
}

#[tokio::test]
async fn clocks_that_are_ahead_keep_nothing_from_firing() {
    let (store, world) = (Deadly::default(), World::default());
    put(&store, &name(), &nightly(Missed::Run, Overlap::Queue)).await.unwrap();
    let standing = super::schedule(&store, &name()).await.unwrap();
    // A person's, by hours, and a coordinator's, by a month.
    run_now(&store, &standing, "person", at("20260102T120000Z")).await.unwrap();
    look(&store, &world, "a", at("20260202T013001Z")).await;
    for second in 0..30 {
        look(&store, &world, "a", Instant(at("20260102T013001Z").0 + second)).await;
    }
    let due: Vec<_> = all(&store).await.iter().map(|firing| firing.due).collect();
    assert!(due.contains(&at("20260102T013000Z")), "{due:?}");
}

#[tokio::test]
async fn a_stage_that_failed_says_why_and_a_retry_goes_on_from_it() {
    let (store, world) = (Deadly::default(), World::default());
    let since = at("20260101T110000Z");
    let schedule = Schedule { since, ..nightly(Missed::Run, Overlap::Skip) };
    put(&store, &name(), &schedule).await.unwrap();
    let standing = super::schedule(&store, &name()).await.unwrap();
    run_now(&store, &standing, "person", at("20260101T120000Z")).await.unwrap();
    *world.broken.lock().unwrap() = true;
    for second in 1..5 {
        look(&store, &world, "a", Instant(at("20260101T120000Z").0 + second)).await;
    }
    let fired = all(&store).await;
    assert!(fired[0].claim.asked && fired[0].failed());
    assert_eq!(fired[0].failures.len(), 1, "it was tried without being asked to");
    assert!(fired[0].failures[0].why.contains("no table"));
    // It holds up nobody.
    *world.broken.lock().unwrap() = false;
    look(&store, &world, "a", at("20260102T013001Z")).await;
    assert!(all(&store).await[1].taken_in.is_some());
    retry(&store, &name(), at("20260102T020000Z")).await.unwrap();
    for second in 0..20 {
        look(&store, &world, "a", Instant(at("20260102T020000Z").0 + second)).await;
    }
    let fired = all(&store).await;
    assert!(fired.iter().all(|firing| firing.end.is_some()), "{fired:?}");
    let refused = retry(&store, &name(), at("20260102T030000Z")).await.unwrap_err();
    assert!(refused.to_string().contains("has failed"), "{refused}");
}

#[tokio::test]
async fn one_that_cannot_be_read_holds_up_no_other() {
    let (store, world) = (Deadly::default(), World::default());
    let bad = Name::nearest("bad");
    store.put_new(&keys::schedule(&bad, 1), "{}".into()).await.unwrap();
    let schedule = nightly(Missed::Run, Overlap::Skip);
    put(&store, &name(), &schedule).await.unwrap();
    let night = Night { store: &store, stages: &world, process: "a", now: at("20260102T013001Z") };
    let troubles = night.tend().await.unwrap();
    assert!(troubles.keys().eq([&bad]), "{troubles:?}");
    assert!(all(&store).await[0].taken_in.is_some());
    assert!(super::schedules(&store).await.unwrap().iter().all(|one| one.name == name()));
    // Nor is anything written that could not be read.
    let settings = TrainSettings { learning_rate: f64::INFINITY, ..schedule.settings.clone() };
    let unreadable = Schedule { settings, ..schedule.clone() };
    put(&store, &Name::nearest("worse"), &unreadable).await.unwrap_err();
    // New settings are the way out.
    put(&store, &bad, &schedule).await.unwrap();
    assert!(night.tend().await.unwrap().is_empty());
    assert_eq!(super::schedules(&store).await.unwrap().len(), 2);
}
