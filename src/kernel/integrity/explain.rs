//! What a figure is made of.

use async_trait::async_trait;
use serde::Serialize;

use crate::kernel::clock::Millis;
use crate::kernel::context::Kernel;
use crate::kernel::error::Result;
use crate::kernel::page::Page;

/// A figure that can be explained: the facts that add up to it.
#[async_trait]
pub trait Explain: Send + Sync {
    /// The module whose figure it is.
    fn module(&self) -> &'static str;
    /// Its name, as `tally explain` and the API take it: `like-count`.
    fn figure(&self) -> &'static str;
    /// Figure and facts of one item, a page of them. `None` when there is no such item.
    ///
    /// # Errors
    /// [`crate::kernel::error::Code::INVALID_INPUT`] for an id of another kind; the database's own.
    async fn explain(&self, kernel: &Kernel, id: &str, page: Page) -> Result<Option<Explained>>;
}

/// A figure, and a page of its facts. All of one snapshot.
#[derive(Clone, Debug, Serialize)]
pub struct Explained {
    /// The item, as a TypeID.
    pub id: String,
    /// Which figure.
    pub figure: String,
    /// What is stored.
    pub stored: String,
    /// What the facts add up to: all of them, not those of the page.
    pub actual: String,
    /// What a contribution is counted in: `likes`, `thousandths of heat`.
    pub unit: &'static str,
    /// How many facts there are.
    pub total: u64,
    /// The page.
    pub facts: Vec<Fact>,
    /// Whether there are more, in the direction of reading.
    pub more: bool,
    /// Of a figure that does not tally, what to do where no repair puts it right; `None` where one does.
    pub remedy: Option<String>,
}

/// Something that happened, and what it adds.
#[derive(Clone, Debug, Serialize)]
pub struct Fact {
    /// Where it stands: the cursor to go on from.
    #[serde(skip)]
    pub cursor: crate::kernel::page::Cursor,
    /// `LIKE`, `VIEWS_OF_AN_HOUR`.
    pub kind: &'static str,
    /// Whose, or which: a TypeID, or nothing.
    pub source: Option<String>,
    /// When it happened.
    pub at: Millis,
    /// What it adds, in the unit of the figure.
    pub contribution: String,
}
