//! Checks of text on its way in.

use std::borrow::Cow;

use super::error::{Error, Result};

/// Checks a text that must be there: not blank, no NUL, at most `most` characters.
///
/// # Errors
/// [`super::error::Code::INVALID_INPUT`], naming the field.
pub fn required(field: &str, text: &str, most: usize) -> Result<String> {
    if text.chars().all(is_unseen) {
        return Err(Error::invalid(format!("{field} must not be blank")));
    }
    bounded(field, text, most)
}

/// Whether nobody sees it: white space, and the characters without width.
fn is_unseen(char: char) -> bool {
    // Unicode's Default_Ignorable_Code_Point, and the empty Braille pattern.
    const WITHOUT_WIDTH: &[std::ops::RangeInclusive<char>] = &[
        '\u{ad}'..='\u{ad}',
        '\u{34f}'..='\u{34f}',
        '\u{61c}'..='\u{61c}',
        '\u{115f}'..='\u{1160}',
        '\u{17b4}'..='\u{17b5}',
        '\u{180b}'..='\u{180f}',
        '\u{200b}'..='\u{200f}',
        '\u{202a}'..='\u{202e}',
        '\u{2060}'..='\u{206f}',
        '\u{2800}'..='\u{2800}',
        '\u{3164}'..='\u{3164}',
        '\u{fe00}'..='\u{fe0f}',
        '\u{feff}'..='\u{feff}',
        '\u{ffa0}'..='\u{ffa0}',
        '\u{fff0}'..='\u{fff8}',
        '\u{1bca0}'..='\u{1bca3}',
        '\u{1d173}'..='\u{1d17a}',
        '\u{e0000}'..='\u{e0fff}',
    ];
    char.is_whitespace() || WITHOUT_WIDTH.iter().any(|range| range.contains(&char))
}

/// Checks a text that may be left out; an empty one counts as left out.
///
/// # Errors
/// As [`required`], but for blankness.
pub fn optional(field: &str, text: Option<&str>, most: usize) -> Result<Option<String>> {
    text.filter(|text| !text.is_empty()).map(|text| bounded(field, text, most)).transpose()
}

/// Checks a link that may be left out: `https:`, `http:`, or a path of the same site. Nothing else, because front
/// ends put it into pages.
///
/// # Errors
/// As [`optional`], and for another scheme.
pub fn optional_url(field: &str, text: Option<&str>) -> Result<Option<String>> {
    let url = optional(field, text, 2_000)?;
    match &url {
        Some(url) if !(url.starts_with("https://") || url.starts_with("http://") || url.starts_with('/')) => {
            Err(Error::invalid(format!("{field} must begin with https://, http:// or /")))
        }
        _ => Ok(url),
    }
}

/// The beginning of a text that a client sent, for an error about it: at most `most` characters, and a sign that there
/// was more.
#[must_use]
pub fn brief(text: &str, most: usize) -> Cow<'_, str> {
    match text.char_indices().nth(most) {
        Some((end, _)) => Cow::Owned(format!("{}…", text.get(..end).unwrap_or_default())),
        None => Cow::Borrowed(text),
    }
}

fn bounded(field: &str, text: &str, most: usize) -> Result<String> {
    if text.contains('\0') {
        return Err(Error::invalid(format!("{field} must not contain NUL")));
    }
    if text.chars().count() > most {
        return Err(Error::invalid(format!("{field} has more than {most} characters")));
    }
    Ok(text.to_owned())
}
