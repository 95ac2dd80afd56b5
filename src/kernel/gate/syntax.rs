//! Names are short, and what was parsed is all that was written.
//!
//! apollo-parser recovers from some errors in silence: of `(kind: null null)` it keeps one null and reports nothing. A
//! tree that is written out again has all tokens of its text, or the text was not of the grammar.

use apollo_compiler::ast::Document;
use apollo_parser::{Lexer, Token, TokenKind};
use async_graphql::{Pos, ServerError};

use super::located;
use crate::kernel::error::{Code, Error};
use crate::kernel::text::brief;

/// Bytes of a name: of a field, an alias, a variable, an operation, a fragment. Answers repeat aliases as often as they
/// have items, and errors in each of their paths.
const NAME_MOST: usize = 128;

/// Refuses names that are too long, before anything is made of them.
///
/// # Errors
/// [`Code::TOO_COMPLEX`] at the first of them.
pub(super) fn check_names(text: &str, tokens_most: usize) -> Result<(), ServerError> {
    let in_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    // Nearly no text has so long a word, be it in a string or a comment.
    if !text.as_bytes().split(|byte| !in_name(byte)).any(|word| word.len() > NAME_MOST) {
        return Ok(());
    }
    let mut tokens = Lexer::new(text).with_limit(tokens_most).flatten();
    match tokens.find(|token| matches!(token.kind(), TokenKind::Name) && token.data().len() > NAME_MOST) {
        Some(name) => {
            let (length, shown) = (name.data().len(), brief(name.data(), 20));
            let message =
                format!("the document has a name of {length} characters, and {NAME_MOST} is the most: {shown}");
            Err(located(Error::new(Code::TOO_COMPLEX, message), Some(place(text, name.index()))))
        }
        None => Ok(()),
    }
}

/// Compares a text with the tree that was made of it.
///
/// # Errors
/// [`crate::kernel::error::Code::INVALID_INPUT`] at the first token that the tree lacks.
pub(super) fn check(text: &str, document: &Document) -> Result<(), ServerError> {
    let written = document.serialize().no_indent().to_string();
    let mut kept = tokens(&written);
    for token in tokens(text) {
        match kept.next() {
            Some(other) if same(&token, &other) => {}
            _ => {
                let message = format!("syntax error: unexpected `{}`", brief(token.data(), 60));
                return Err(located(Error::invalid(message), Some(place(text, token.index()))));
            }
        }
    }
    Ok(())
}

/// Tokens that mean something. An operation's bare `query` may be left out, and is.
fn tokens(text: &str) -> impl Iterator<Item = Token<'_>> {
    let meaning = Lexer::new(text).flatten().filter(|token| {
        !matches!(token.kind(), TokenKind::Whitespace | TokenKind::Comment | TokenKind::Comma | TokenKind::Eof)
    });
    let mut meaning = meaning.peekable();
    let mut open = 0_u32;
    std::iter::from_fn(move || {
        let mut token = meaning.next()?;
        let bare = open == 0
            && token.data() == "query"
            && meaning.peek().is_some_and(|next| matches!(next.kind(), TokenKind::LCurly));
        if bare {
            token = meaning.next()?;
        }
        match token.kind() {
            TokenKind::LCurly => open += 1,
            TokenKind::RCurly => open = open.saturating_sub(1),
            _ => {}
        }
        Some(token)
    })
}

/// Strings may be escaped otherwise.
fn same(written: &Token<'_>, kept: &Token<'_>) -> bool {
    written.kind() == kept.kind() && (matches!(written.kind(), TokenKind::StringValue) || written.data() == kept.data())
}

fn place(text: &str, index: usize) -> Pos {
    let before = text.get(..index).unwrap_or_default();
    let line = before.rsplit('\n').next().unwrap_or_default();
    Pos { line: before.matches('\n').count() + 1, column: line.chars().count() + 1 }
}
