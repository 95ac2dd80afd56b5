//! How a socket ends. Codes and reasons are those of the npm package `graphql-ws`, which its client tells apart; the
//! others are RFC 6455's.

use std::borrow::Cow;

use axum::extract::ws::CloseFrame;
use tungstenite::error::{Error, ProtocolError};

/// Longest reason, in bytes: a control frame holds 125, and the code takes two.
const REASON_MOST: usize = 123;

/// Why the server is done with a socket.
#[derive(Debug)]
pub(super) enum End {
    /// The peer is told.
    Close(Close),
    /// The peer is told, but nothing that it sends can be read any more.
    Deaf(Close),
    /// The peer said goodbye.
    Left,
    /// There is nobody to tell.
    Gone,
}

/// A code and a short reason.
#[derive(Debug)]
pub(super) struct Close {
    code: u16,
    reason: Cow<'static, str>,
}

impl Close {
    pub(super) const GOING_AWAY: Self = Self::of(1001, "Going away");
    const PROTOCOL: Self = Self::of(1002, "Protocol error");
    const NOT_TEXT: Self = Self::of(1007, "Invalid UTF-8");
    const TOO_BIG: Self = Self::of(1009, "Message too big");
    pub(super) const TRY_LATER: Self = Self::of(1013, "Try again later");
    pub(super) const INVALID: Self = Self::of(4400, "Invalid message received");
    pub(super) const UNAUTHORIZED: Self = Self::of(4401, "Unauthorized");
    /// As the package's recipe for tokens that expire has it: its client takes 4401 for final, and comes back with a new
    /// token after 4403.
    pub(super) const EXPIRED: Self = Self::of(4403, "Token expired");
    pub(super) const FORBIDDEN: Self = Self::of(4403, "Forbidden");
    pub(super) const SUBPROTOCOL: Self = Self::of(4406, "Subprotocol not acceptable");
    pub(super) const INIT_TIMEOUT: Self = Self::of(4408, "Connection initialisation timeout");
    pub(super) const INIT_TWICE: Self = Self::of(4429, "Too many initialisation requests");
    pub(super) const INTERNAL: Self = Self::of(4500, "Internal server error");

    const fn of(code: u16, reason: &'static str) -> Self {
        Self { code, reason: Cow::Borrowed(reason) }
    }

    /// 4409; an id that would not fit is left out.
    pub(super) fn taken(id: &str) -> Self {
        let reason = format!("Subscriber for {id} already exists");
        let fits = reason.len() <= REASON_MOST;
        let reason = if fits { reason.into() } else { "Subscriber already exists".into() };
        Self { code: 4409, reason }
    }

    pub(super) fn code(&self) -> u16 {
        self.code
    }

    pub(super) fn frame(self) -> CloseFrame {
        let reason = match self.reason {
            Cow::Borrowed(reason) => reason.into(),
            Cow::Owned(reason) => reason.into(),
        };
        CloseFrame { code: self.code, reason }
    }
}

impl From<Close> for End {
    fn from(close: Close) -> Self {
        Self::Close(close)
    }
}

impl End {
    /// What a failed read means.
    pub(super) fn of(error: axum::Error) -> Self {
        let Ok(error) = error.into_inner().downcast::<Error>() else { return Self::Gone };
        match *error {
            Error::Capacity(_) => Self::Deaf(Close::TOO_BIG),
            Error::Utf8(_) => Self::Deaf(Close::NOT_TEXT),
            Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Self::Gone,
            Error::Protocol(_) => Self::Deaf(Close::PROTOCOL),
            _ => Self::Gone,
        }
    }
}
