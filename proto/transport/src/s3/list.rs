//! Listing a bucket, page by page.
//!
//! Always holds: no more than a page of 1000 objects is in memory.
//! It does not know the order: AWS lists in the order of bytes, some servers in that of
//! their folders. Within one folder both are the same.

use std::collections::VecDeque;

use aws_sdk_s3::primitives::DateTime;
use aws_sdk_s3::types::Object;
use futures::{Stream, stream};

use crate::s3::failure::Failure;
use crate::s3::server::Server;

/// What is to be listed.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    pub(crate) bucket: String,
    /// What keys start with.
    pub(crate) prefix: String,
    /// Where to begin: behind this key, in the server's order.
    pub(crate) after: Option<String>,
    /// Without the folders below it.
    pub(crate) alone: bool,
}

/// What a listing tells of an object.
#[derive(Debug, Clone)]
pub(crate) struct Listed {
    pub(crate) key: String,
    pub(crate) size_bytes: u64,
    /// In seconds since 1970.
    pub(crate) changed_unix_s: i64,
    /// Without quotes.
    pub(crate) etag: String,
}

impl From<Object> for Listed {
    fn from(object: Object) -> Self {
        let size_bytes = object.size().and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
        let etag = object.e_tag().unwrap_or_default().trim_matches('"').to_owned();
        let changed_unix_s = object.last_modified().map_or(0, DateTime::secs);
        Self { key: object.key.unwrap_or_default(), size_bytes, changed_unix_s, etag }
    }
}

/// Where a listing goes on.
enum Next {
    Start,
    Page(String),
    End,
}

/// The objects of a folder.
pub(crate) fn list(
    server: &Server,
    folder: Folder,
) -> impl Stream<Item = Result<Listed, Failure>> + Send + use<> {
    let client = server.client.clone();
    let start = (client, folder, Next::Start, VecDeque::<Listed>::new());
    stream::try_unfold(start, async |(client, folder, mut next, mut page)| {
        loop {
            if let Some(object) = page.pop_front() {
                return Ok(Some((object, (client, folder, next, page))));
            }
            let token = match next {
                Next::Start => None,
                Next::Page(token) => Some(token),
                Next::End => return Ok(None),
            };
            let request = client.list_objects_v2().bucket(&folder.bucket).prefix(&folder.prefix);
            let request = request
                .set_start_after(folder.after.clone().filter(|_| token.is_none()))
                .set_delimiter(folder.alone.then(|| "/".to_owned()))
                .set_continuation_token(token);
            let answer = request.send().await.map_err(|error| Failure::of(&error))?;
            next = answer.next_continuation_token.map_or(Next::End, Next::Page);
            page = answer.contents.unwrap_or_default().into_iter().map(Listed::from).collect();
        }
    })
}
