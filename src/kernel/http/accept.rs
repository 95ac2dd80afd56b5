//! Which media types a client takes. Source: RFC 9110, 12.5.1.

use std::cmp::Reverse;

use http::header::{ACCEPT, HeaderMap};
use mime::Mime;

/// How much a client wants a media type: the more, the greater.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub(super) struct Wish {
    /// Above 0, to 1.
    quality: f32,
    /// Of the range that says so: of types that are wanted alike the one that is named goes first.
    narrowness: u8,
    /// Of that range, in the order in which they are given.
    place: Reverse<usize>,
}

/// What `Accept` says of each of some media types, in UTF-8: the narrowest range that it is in decides. `None`: it is not
/// taken.
pub(super) fn wishes<const N: usize>(headers: &HeaderMap, essences: [&str; N]) -> [Option<Wish>; N] {
    let mut wishes = [None::<Wish>; N];
    let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let ranges = values.flat_map(|value| value.split(',')).filter_map(|range| range.trim().parse::<Mime>().ok());
    for (place, range) in ranges.enumerate() {
        let Some(quality) = quality(&range) else { continue };
        for (essence, wish) in essences.iter().zip(&mut wishes) {
            let Some(narrowness) = narrowness(&range, essence) else { continue };
            if wish.is_none_or(|known| narrowness > known.narrowness) {
                *wish = Some(Wish { quality, narrowness, place: Reverse(place) });
            }
        }
    }
    wishes.map(|wish| wish.filter(|wish| wish.quality > 0.0))
}

/// `q`, 1 without one; nothing of one that is not of its form.
fn quality(range: &Mime) -> Option<f32> {
    let Some(given) = range.get_param("q") else { return Some(1.0) };
    given.as_str().parse().ok().filter(|quality| (0.0..=1.0).contains(quality))
}

/// How narrow a range is, if a media type is in it.
fn narrowness(range: &Mime, essence: &str) -> Option<u8> {
    let charset = range.get_param(mime::CHARSET);
    if charset.is_some_and(|charset| charset != mime::UTF_8) {
        return None;
    }
    match range.essence_str() {
        "*/*" => Some(0),
        same if same == essence => Some(if charset.is_some() { 3 } else { 2 }),
        all => (all.strip_suffix("/*") == essence.split('/').next()).then_some(1),
    }
}
