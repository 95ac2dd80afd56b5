//! Lists of contents: what they show, and in which order.

use async_graphql::{Context, Object};

use crate::kernel::clock::Millis;
use crate::kernel::context::FacadeExt as _;
use crate::kernel::error::{Code, Error, Result};
use crate::kernel::graphql::{Count, InField};
use crate::kernel::id::Id;
use crate::kernel::page::{Connection, Cursor, Page};
use crate::modules::engagement::EngagementFacade;
use crate::modules::engagement::content::{ContentRecord, Kind};
use crate::modules::engagement::hotness::{Hotness, Level, NEW_FOR};
use crate::modules::engagement::store::read::{self, Filter, Order};
use crate::modules::engagement::window::TimeWindow;
use crate::modules::users::UserKind;

/// How often a list is read again because other settings came into force meanwhile. They do so once in a while.
const TRIES: usize = 3;

/// A page of contents of one kind, and how many there are in all.
pub struct ContentTotal {
    shown: Shown,
    /// The moment that levels are those of.
    at: Millis,
}

/// What a connection has besides its page.
#[Object]
impl ContentTotal {
    /// How many contents the whole list has; counted only when asked for.
    async fn total_count(&self, ctx: &Context<'_>) -> Result<Count> {
        async {
            let engagement = ctx.facade::<EngagementFacade>()?;
            let mut hotness = engagement.hotness();
            for _ in 0..TRIES {
                let filter = self.shown.filter(&hotness, self.at);
                let (count, version) = read::content_count(&engagement.kernel().db, &filter).await?;
                if self.shown.level.is_none() || version == hotness.heat.version {
                    return Ok(Count(count));
                }
                hotness = engagement.version(version).await?;
            }
            Err(changing())
        }
        .await
        .in_field(ctx)
    }
}

fn changing() -> Error {
    Error::new(Code::UNAVAILABLE, "other settings of hotness came into force, try again")
}

/// Which contents a list shows.
#[derive(Clone, Copy)]
pub(super) struct Shown {
    pub(super) kind: Kind,
    pub(super) author: Option<Id<UserKind>>,
    pub(super) level: Option<Level>,
    pub(super) window: TimeWindow,
}

impl Shown {
    fn filter(&self, hotness: &Hotness, now: Millis) -> Filter {
        let (heat_from, heat_below) = self.level.map_or((None, None), |level| hotness.heat_range(level, now));
        let new_since = now.plus(1 - NEW_FOR);
        let window = self.window.since(now);
        Filter {
            kind: self.kind,
            author_id: self.author.map(Id::uuid),
            published_since: if self.level == Some(Level::New) { window.max(Some(new_since)) } else { window },
            published_before: (self.level == Some(Level::Cold)).then_some(new_since),
            heat_from,
            heat_below,
        }
    }
}

/// The arguments of a list of contents.
pub(super) struct List {
    pub(super) shown: Shown,
    pub(super) first: Option<i32>,
    pub(super) after: Option<String>,
    pub(super) last: Option<i32>,
    pub(super) before: Option<String>,
    pub(super) order: Order,
}

impl List {
    /// What its cursors belong to. Heats of two versions of the settings cannot be compared: a cursor of one means nothing
    /// in the list that another makes.
    fn order(&self, hotness: &Hotness) -> u8 {
        match self.order {
            Order::Hottest => 0x80 | u8::try_from(hotness.heat.version & 0x7f).unwrap_or(0),
            order => order as u8,
        }
    }

    fn page(&self, order: u8) -> Result<Page> {
        Page::new(order, self.first, self.after.as_deref(), self.last, self.before.as_deref())
    }

    pub(super) async fn connection<Node: async_graphql::OutputType>(
        self,
        ctx: &Context<'_>,
        node: fn(ContentRecord) -> Node,
    ) -> Result<Connection<Node, ContentTotal>> {
        let engagement = ctx.facade::<EngagementFacade>()?;
        let (mut hotness, at) = (engagement.hotness(), engagement.now());
        for _ in 0..TRIES {
            let order = self.order(&hotness);
            let (page, filter) = (self.page(order), self.shown.filter(&hotness, at));
            let found = match &page {
                Ok(page) if page.size > 0 => {
                    read::content_page(&engagement.kernel().db, &filter, self.order, page).await?
                }
                _ => Vec::new(),
            };
            if let Some(other) = self.outdated(engagement, &hotness, page.is_err(), &found).await? {
                hotness = other;
                continue;
            }
            let (by_heat, total) = (self.order == Order::Hottest, ContentTotal { shown: self.shown, at });
            return Ok(page?.connection(found, total, |record| {
                let value = if by_heat { record.figures.heat } else { Some(record.info.published_at.0) };
                (Cursor { order, value, id: record.info.id }, node(record))
            }));
        }
        Err(changing())
    }

    /// The settings in force, where they are others than those that a list by heat was asked for with. What was found says
    /// so itself; where nothing was, or a cursor was refused, the database is asked.
    async fn outdated(
        &self,
        engagement: &EngagementFacade,
        hotness: &Hotness,
        refused: bool,
        found: &[ContentRecord],
    ) -> Result<Option<std::sync::Arc<Hotness>>> {
        let ranged = self.shown.level.is_some() || self.after.is_some() || self.before.is_some();
        if self.order != Order::Hottest && self.shown.level.is_none() {
            return Ok(None);
        }
        let now = match found.first() {
            Some(record) => engagement.hotness_of(record).await?,
            None if ranged || refused => engagement.in_force().await?,
            None => return Ok(None),
        };
        Ok((now.heat.version != hotness.heat.version).then_some(now))
    }
}
