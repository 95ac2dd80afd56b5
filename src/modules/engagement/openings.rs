//! Openings: counts that an import took over with no rows behind them, as facts that say «so many, at this moment».
//!
//! One a content and figure; taking the same over again sets it, so that nothing doubles. Counts, masses, checks,
//! recalculations and deletions treat it as any other fact. See `docs/adr/0014-opening-facts.md`.

use sea_orm::DbErr;

use super::content::Figures;
use super::hotness::{Fact, Weight};
use crate::kernel::clock::Millis;

/// Which of a content's counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Counted {
    /// Likes.
    Like,
    /// Favorites.
    Favorite,
    /// Comments.
    Comment,
    /// Shares.
    Share,
    /// Views.
    View,
}

impl Counted {
    /// All, in the order of their stored numbers.
    pub const ALL: [Self; 5] = [Self::Like, Self::Favorite, Self::Comment, Self::Share, Self::View];

    /// The stored number.
    #[must_use]
    pub fn number(self) -> i16 {
        self as i16
    }

    pub(super) fn from_number(number: i16) -> Result<Self, DbErr> {
        let found = usize::try_from(number).ok().and_then(|at| Self::ALL.get(at)).copied();
        found.ok_or_else(|| DbErr::Type(format!("{number} is no count of a content")))
    }

    /// Its column in a content's figures.
    pub(super) fn column(self) -> &'static str {
        match self {
            Self::Like => "like_count",
            Self::Favorite => "favorite_count",
            Self::Comment => "comment_count",
            Self::Share => "share_count",
            Self::View => "view_count",
        }
    }

    /// What explanations call its opening.
    pub(super) fn opening(self) -> &'static str {
        match self {
            Self::Like => "OPENING_LIKES",
            Self::Favorite => "OPENING_FAVORITES",
            Self::Comment => "OPENING_COMMENTS",
            Self::Share => "OPENING_SHARES",
            Self::View => "OPENING_VIEWS",
        }
    }

    /// What one weighs by.
    #[must_use]
    pub fn weight(self) -> Weight {
        match self {
            Self::Like => Weight::Like,
            Self::Favorite => Weight::Favorite,
            Self::Comment => Weight::Comment,
            Self::Share => Weight::Share,
            Self::View => Weight::View,
        }
    }

    /// The count in a content's figures.
    pub(super) fn of(self, figures: &mut Figures) -> &mut i64 {
        match self {
            Self::Like => &mut figures.like_count,
            Self::Favorite => &mut figures.favorite_count,
            Self::Comment => &mut figures.comment_count,
            Self::Share => &mut figures.share_count,
            Self::View => &mut figures.view_count,
        }
    }
}

/// A count that an import took over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opening {
    /// Of what.
    pub figure: Counted,
    /// How many.
    pub count: i64,
    /// When they count as having happened, all of them.
    pub at: Millis,
}

impl Opening {
    /// As heat sees it.
    #[must_use]
    pub fn fact(&self) -> Fact {
        Fact { weight: self.figure.weight(), at: self.at, count: self.count }
    }
}
