//! Answers are bounded in bytes: what an operation costs says how many fields it has, not how long their text is.

use std::io;

use super::refusal;
use crate::kernel::error::{Code, Error};

/// What is written of an answer, up to a limit.
pub(super) struct Bounded {
    bytes: Vec<u8>,
    /// What `bytes` may have, with what was there before the answer.
    end: usize,
    /// What the answer may have.
    most: usize,
}

impl Bounded {
    /// For an answer of `most` bytes after those that are there.
    pub(super) fn after(bytes: Vec<u8>, most: usize) -> Self {
        Self { end: bytes.len().saturating_add(most), bytes, most }
    }

    /// Writes a response. One that does not fit is taken back, and an error stands in its place, past the limit if need
    /// be: a few hundred bytes. Returns whether it fitted.
    ///
    /// # Errors
    /// A value that JSON has no form for.
    pub(super) fn put(&mut self, write: impl FnOnce(&mut Self) -> serde_json::Result<()>) -> serde_json::Result<bool> {
        let from = self.bytes.len();
        match write(self) {
            Err(error) if error.is_io() => {
                self.bytes.truncate(from);
                self.bytes.shrink_to_fit();
                serde_json::to_writer(&mut self.bytes, &refusal(too_large(self.most)))?;
                Ok(false)
            }
            written => written.map(|()| true),
        }
    }

    /// Writes what belongs to no response, and counts all the same.
    pub(super) fn push(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    /// All that was written.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

impl io::Write for Bounded {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes)?;
        Ok(bytes.len())
    }

    #[inline]
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.len() > self.end.saturating_sub(self.bytes.len()) {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn too_large(most: usize) -> Error {
    let message =
        format!("the answer has more than {most} bytes: ask for fewer items or fields; what was changed stays changed");
    Error::new(Code::TOO_COMPLEX, message)
}
