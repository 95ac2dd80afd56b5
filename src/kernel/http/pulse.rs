//! What a connection is doing, and since when: a silent one is closed, a busy one is not.
//!
//! hyper's own `header_read_timeout` runs from the end of one request to the end of the next one's head: with it, an idle
//! connection could stay no longer than a head may take.

use std::io::IoSlice;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

use super::seats::Seat;
use crate::kernel::config::Settings;

/// How long a connection may be in each state.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spans {
    first_byte: Duration,
    header: Duration,
    idle: Duration,
}

impl Spans {
    /// Reads `server.…_secs`.
    pub(super) fn new(settings: &Settings) -> Self {
        let secs = |key| Duration::from_secs(settings.count(key).into());
        Self {
            first_byte: secs("server.first_byte_secs"),
            header: secs("server.header_secs"),
            idle: secs("server.idle_secs"),
        }
    }
}

/// Nothing came yet.
const NEW: u8 = 0;
/// A request's head has begun.
const HEAD: u8 = 1;
/// All requests were answered.
const IDLE: u8 = 2;
/// What is written in one piece, in bytes: most answers, with their heads.
const SMALL: usize = 1024;
/// No write is waiting for the client to read.
const FLOWS: u64 = u64::MAX;

/// The state of one connection. The connection's task, its streams' tasks and its socket write it; only the first reads,
/// each time it runs. So a request costs two readings of the time and no timer.
pub(super) struct Pulse {
    /// When the connection was accepted; the other times are milliseconds since.
    began: Instant,
    /// Requests whose answer is not yet handed to hyper in full.
    open: AtomicU32,
    /// What it is while `open` is 0.
    phase: AtomicU8,
    /// Since when.
    since: AtomicU64,
    /// Since when a write waits for the client to read; [`FLOWS`] if none does.
    stalled: AtomicU64,
    /// HTTP/2: frames that are no request (pings, acknowledgements) keep nothing open, and begin no head.
    frames: AtomicBool,
    /// Freed with the last of connection and upgraded socket.
    _seat: Seat,
}

/// A connection whose time is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overdue {
    /// It did nothing wrong: say goodbye.
    Idle,
    /// It was too slow: close it.
    Slow,
}

impl Pulse {
    pub(super) fn new(seat: Seat) -> Arc<Self> {
        Arc::new(Self {
            began: Instant::now(),
            open: AtomicU32::new(0),
            phase: AtomicU8::new(NEW),
            since: AtomicU64::new(0),
            stalled: AtomicU64::new(FLOWS),
            frames: AtomicBool::new(false),
            _seat: seat,
        })
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(FLOWS - 1)
    }

    fn turn(&self, phase: u8) {
        self.since.store(self.now_ms(), Ordering::Relaxed);
        self.phase.store(phase, Ordering::Relaxed);
    }

    /// Bytes came.
    fn heard(&self, bytes: &[u8]) {
        if self.open.load(Ordering::Relaxed) > 0 {
            return;
        }
        let phase = self.phase.load(Ordering::Relaxed);
        if phase == NEW && bytes.starts_with(b"PRI ") {
            self.frames.store(true, Ordering::Relaxed);
            self.turn(IDLE);
        } else if phase != HEAD && !self.frames.load(Ordering::Relaxed) {
            self.turn(HEAD);
        }
    }

    /// A request's head is complete; its answer is the guard's to carry to its end.
    pub(super) fn begin(self: &Arc<Self>, frames: bool) -> Open {
        self.open.fetch_add(1, Ordering::Relaxed);
        if frames {
            self.frames.store(true, Ordering::Relaxed);
        }
        Open(Arc::clone(self))
    }

    /// Whether a request is under way.
    pub(super) fn is_busy(&self) -> bool {
        self.open.load(Ordering::Relaxed) > 0
    }

    /// When the present state is over, and how to end the connection then; `None` while a request is open.
    fn deadline(&self, spans: &Spans) -> Option<(Instant, Overdue)> {
        let stalled = self.stalled.load(Ordering::Relaxed);
        if stalled != FLOWS {
            return Some((self.began + Duration::from_millis(stalled) + spans.idle, Overdue::Slow));
        }
        if self.open.load(Ordering::Relaxed) > 0 {
            return None;
        }
        let (span, overdue) = match self.phase.load(Ordering::Relaxed) {
            NEW => (spans.first_byte, Overdue::Slow),
            HEAD => (spans.header, Overdue::Slow),
            _ => (spans.idle, Overdue::Idle),
        };
        Some((self.began + Duration::from_millis(self.since.load(Ordering::Relaxed)) + span, overdue))
    }

    /// What [`Pulse::poll_overdue`] rings with.
    pub(super) fn alarm(&self, spans: &Spans) -> Sleep {
        tokio::time::sleep_until(self.began + spans.first_byte)
    }

    /// Ready once the connection's time is over. To be polled after the connection itself, by the same task: nearly
    /// whatever changes the state wakes that task. `alarm` is moved only when it would ring too late, or rang too early.
    pub(super) fn poll_overdue(
        &self,
        cx: &mut Context<'_>,
        mut alarm: Pin<&mut Sleep>,
        spans: &Spans,
    ) -> Poll<Overdue> {
        loop {
            let deadline = self.deadline(spans);
            match deadline {
                Some((at, _)) if alarm.is_elapsed() || alarm.deadline() > at => alarm.as_mut().reset(at),
                // A stream of HTTP/2 ends in a task of its own: look again, should nothing else wake this one.
                None if alarm.is_elapsed() => alarm.as_mut().reset(Instant::now() + spans.idle),
                _ => {}
            }
            ready!(alarm.as_mut().poll(cx));
            if let Some((at, overdue)) = deadline
                && alarm.deadline() >= at
            {
                return Poll::Ready(overdue);
            }
        }
    }
}

/// A request under way.
pub(super) struct Open(Arc<Pulse>);

impl Drop for Open {
    fn drop(&mut self) {
        if self.0.open.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.0.turn(IDLE);
        }
    }
}

/// An answer's body; the request is open until it was sent or given up.
pub(super) struct Answer {
    pub(super) body: axum::body::Body,
    pub(super) _open: Open,
}

impl Body for Answer {
    type Data = bytes::Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A socket that tells the connection's pulse of what comes and goes.
pub(super) struct Watched {
    pub(super) stream: TcpStream,
    pub(super) pulse: Arc<Pulse>,
}

impl Watched {
    fn written<T>(&self, written: Poll<std::io::Result<T>>) -> Poll<std::io::Result<T>> {
        let stalled = self.pulse.stalled.load(Ordering::Relaxed) != FLOWS;
        if written.is_ready() == stalled {
            let since = if stalled { FLOWS } else { self.pulse.now_ms() };
            self.pulse.stalled.store(since, Ordering::Relaxed);
        }
        written
    }
}

/// Head and body of a small answer in one piece, in `room`: to copy them is cheaper than to have the system gather them.
fn gathered<'a>(slices: &[IoSlice<'_>], room: &'a mut [u8]) -> Option<&'a [u8]> {
    let mut end = 0;
    for slice in slices {
        let from = end;
        end += slice.len();
        room.get_mut(from..end)?.copy_from_slice(slice);
    }
    room.get(..end)
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if let Some(bytes @ [_, ..]) = buf.filled().get(before..) {
            self.pulse.heard(bytes);
        }
        read
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.written(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        let mut small = [0; SMALL];
        let written = match gathered(slices, &mut small) {
            Some(bytes) => Pin::new(&mut self.stream).poll_write(cx, bytes),
            None => Pin::new(&mut self.stream).poll_write_vectored(cx, slices),
        };
        self.written(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
