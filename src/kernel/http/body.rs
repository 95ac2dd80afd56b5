//! Reads a request's body before anything else happens: whole, within its size and its time.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, EXPECT, HeaderMap};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use tokio::time::Instant;

/// What is read past the limit and thrown away, so that a client that sends first and reads then gets its answer and
/// not a broken connection.
const DRAINED_MOST: usize = 4 * 1024 * 1024;
/// For how long.
const DRAINED_FOR: Duration = Duration::from_secs(2);

/// Why there is no body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// More than the limit.
    TooLarge,
    /// Not complete in time.
    TooSlow,
    /// Not of its form, or cut off.
    Broken,
}

/// The whole body: at most `most` bytes, all of which must have arrived by `within` from now.
pub(super) async fn read(headers: &HeaderMap, body: Incoming, most: usize, within: Duration) -> Result<Bytes, Refused> {
    let announced = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    let too_large = announced.is_some_and(|length| length > most);
    if too_large && headers.contains_key(EXPECT) {
        // The client asked before it sends: to read now would be to say yes.
        return Err(Refused::TooLarge);
    }
    let read = collect(body, most, Instant::now() + within);
    tokio::time::timeout(within, read).await.unwrap_or(Err(Refused::TooSlow))
}

async fn collect(mut body: Incoming, most: usize, by: Instant) -> Result<Bytes, Refused> {
    let length = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    let mut total = 0;
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Refused::Broken)?.into_data() else { continue };
        total += data.len();
        if length.max(total) > most {
            let until = by.min(Instant::now() + DRAINED_FOR);
            let _ = tokio::time::timeout_at(until, drain(body)).await;
            return Err(Refused::TooLarge);
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
    Ok(if all.is_empty() { first } else { all.freeze() })
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
