//! The operations under way on one socket.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};

use axum::extract::ws::Utf8Bytes;
use futures_util::stream::{BoxStream, StreamExt as _};

use super::message;
use crate::kernel::graphql::Answer;

/// Results are written into buffers of the last one's size: one allocation a result, none kept between them.
const ROOM_MOST: usize = 64 * 1024;
/// Answers of the largest size that may wait for a client that does not read.
const READY_MOST: usize = 8;

/// Operations that take turns. A list: most sockets have one or two, and all wake the same task anyhow.
#[derive(Default)]
pub(super) struct Operations {
    running: Vec<Running>,
    /// Whose turn it is.
    turn: usize,
    room: usize,
    /// Bytes that an answer may have.
    most: usize,
}

struct Running {
    id: Box<str>,
    answers: BoxStream<'static, Answer>,
    /// An answer that was ready while another message was being sent.
    ready: Option<serde_json::Result<Utf8Bytes>>,
    /// Whether anything was asked of `answers` yet.
    begun: bool,
    /// Whether `answers` has ended: it is not to be asked again.
    ended: bool,
    /// A mutation, which counts until it has ended.
    lasting: bool,
    /// The client wants no more of it; its id is free.
    muted: bool,
}

impl Operations {
    /// None yet; their answers are to have at most so many bytes.
    pub(super) fn answering(most: usize) -> Self {
        Self { most, ..Self::default() }
    }

    pub(super) fn len(&self) -> usize {
        self.running.len()
    }

    pub(super) fn contains(&self, id: &str) -> bool {
        self.find(id).is_some()
    }

    fn find(&self, id: &str) -> Option<usize> {
        self.running.iter().position(|running| !running.muted && *running.id == *id)
    }

    /// Adds an operation; one that is `lasting` goes on after [`Operations::stop`], without being heard.
    pub(super) fn start(&mut self, id: Box<str>, answers: BoxStream<'static, Answer>, lasting: bool) {
        // Most sockets have one and no more.
        if self.running.is_empty() {
            self.running.reserve_exact(1);
        }
        self.running.push(Running { id, answers, ready: None, begun: false, ended: false, lasting, muted: false });
    }

    /// Ends an operation: nothing is sent of it any more.
    pub(super) fn stop(&mut self, id: &str) {
        let Some(at) = self.find(id) else { return };
        if self.running[at].lasting {
            self.running[at].muted = true;
            self.running[at].ready = None;
        } else {
            self.running.swap_remove(at);
        }
    }

    /// The next message of any operation, by turns.
    pub(super) async fn next(&mut self) -> serde_json::Result<Utf8Bytes> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// The same, for whoever waits for something else besides.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<serde_json::Result<Utf8Bytes>> {
        let mut left = self.running.len();
        while left > 0 {
            left -= 1;
            self.turn = if self.turn + 1 < self.running.len() { self.turn + 1 } else { 0 };
            let running = &mut self.running[self.turn];
            if let Some(ready) = running.ready.take() {
                return Poll::Ready(ready);
            }
            match running.poll(cx, self.room, self.most) {
                Poll::Pending => {}
                Poll::Ready(Some(text)) => {
                    if let Ok(text) = &text {
                        self.room = (text.len() + 32).min(ROOM_MOST);
                    }
                    return Poll::Ready(text);
                }
                Poll::Ready(None) => {
                    let ended = self.running.swap_remove(self.turn);
                    // Another one is in its place now, and has not had its turn.
                    self.turn = self.turn.checked_sub(1).unwrap_or(self.running.len().saturating_sub(1));
                    if !ended.muted {
                        return Poll::Ready(message::complete(&ended.id));
                    }
                }
            }
        }
        Poll::Pending
    }

    /// Lets operations go on while a message is being sent, each to its next answer at most. Without this a client that
    /// does not read would keep what they hold: connections to the database, of which there are few. What has not begun
    /// holds nothing, and waits. Returns once more waits for the client than [`READY_MOST`] allows.
    pub(super) async fn go_on(&mut self) {
        poll_fn(|cx| {
            let mut held = 0_usize;
            for running in self.running.iter_mut().filter(|running| running.begun) {
                if running.ready.is_none()
                    && let Poll::Ready(Some(text)) = running.poll(cx, self.room, self.most)
                {
                    running.ready = Some(text);
                }
                if let Some(Ok(text)) = &running.ready {
                    held = held.saturating_add(text.len());
                }
            }
            if held > self.most.saturating_mul(READY_MOST) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

impl Running {
    /// The next answer as a message; nothing when there are no more.
    fn poll(&mut self, cx: &mut Context<'_>, room: usize, most: usize) -> Poll<Option<serde_json::Result<Utf8Bytes>>> {
        self.begun = true;
        loop {
            if self.ended {
                return Poll::Ready(None);
            }
            match ready!(self.answers.poll_next_unpin(cx)) {
                Some(_) if self.muted => {}
                Some(answer) => return Poll::Ready(Some(message::next(&self.id, &answer, room, most))),
                None => self.ended = true,
            }
        }
    }
}
