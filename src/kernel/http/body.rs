//! Reads a request's body before anything else happens: whole, within its size and its time.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, EXPECT, HeaderMap};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// What is read past the limit and thrown away, so that a client that sends first and reads then gets its answer and
/// not a broken connection.
const DRAINED_MOST: usize = 4 * 1024 * 1024;
/// For how long.
const DRAINED_FOR: Duration = Duration::from_secs(2);

/// What a body may have without being counted: a connection's buffers hold as much.
const UNCOUNTED: usize = 16 * 1024;

/// How much all bodies together may hold: one request's limit says nothing of thousands of them.
pub(super) struct Budget(Arc<Semaphore>);

/// A part of the budget, held until it is dropped.
type Share = Option<OwnedSemaphorePermit>;

impl Budget {
    pub(super) fn new(mebibytes: u32) -> Self {
        Self(Arc::new(Semaphore::new(mebibytes as usize * 1024)))
    }

    /// Makes `share` large enough for `bytes`; false where so much is not left.
    fn grow(&self, share: &mut Share, bytes: usize) -> bool {
        let wanted = if bytes > UNCOUNTED { bytes.div_ceil(1024) } else { 0 };
        let more = wanted.saturating_sub(share.as_ref().map_or(0, OwnedSemaphorePermit::num_permits));
        let Ok(count) = u32::try_from(more) else { return false };
        if count == 0 {
            return true;
        }
        let Ok(permit) = Arc::clone(&self.0).try_acquire_many_owned(count) else { return false };
        match share {
            Some(share) => share.merge(permit),
            None => *share = Some(permit),
        }
        true
    }
}

/// Why there is no body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// More than the limit.
    TooLarge,
    /// Not complete in time.
    TooSlow,
    /// Not of its form, or cut off.
    Broken,
    /// All bodies together are too much.
    Crowded,
}

/// The whole body: at most `most` bytes, all of which must have arrived by `within` from now; with its share of the
/// budget, to be held as long as the body.
pub(super) async fn read(
    headers: &HeaderMap,
    body: Incoming,
    most: usize,
    within: Duration,
    budget: &Budget,
) -> Result<(Bytes, Share), Refused> {
    let announced = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    let too_large = announced.is_some_and(|length| length > most);
    if too_large && headers.contains_key(EXPECT) {
        // The client asked before it sends: to read now would be to say yes.
        return Err(Refused::TooLarge);
    }
    let read = collect(body, most, Instant::now() + within, budget);
    tokio::time::timeout(within, read).await.unwrap_or(Err(Refused::TooSlow))
}

async fn collect(mut body: Incoming, most: usize, by: Instant, budget: &Budget) -> Result<(Bytes, Share), Refused> {
    let mut share = None;
    let length = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    let mut total = 0;
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Refused::Broken)?.into_data() else { continue };
        total += data.len();
        let too_large = length.max(total) > most;
        if too_large || !budget.grow(&mut share, total) {
            drop(share);
            let until = by.min(Instant::now() + DRAINED_FOR);
            let _ = tokio::time::timeout_at(until, drain(body)).await;
            return Err(if too_large { Refused::TooLarge } else { Refused::Crowded });
        }
        // Nearly all bodies arrive in one piece, which needs no copy.
        if first.is_empty() {
            first = data;
            continue;
        }
        if all.is_empty() {
            all.extend_from_slice(&first);
        }
        all.extend_from_slice(&data);
    }
    Ok((if all.is_empty() { first } else { all.freeze() }, share))
}

async fn drain(mut body: Incoming) {
    let mut drained = 0;
    while let Some(Ok(frame)) = body.frame().await {
        drained += frame.data_ref().map_or(0, Bytes::len);
        if drained > DRAINED_MOST {
            return;
        }
    }
}
