//! Suspicious activity, for operators.

use async_graphql::{Context, Object};

use crate::kernel::clock::Millis;
use crate::kernel::context::FacadeExt as _;
use crate::kernel::error::Result;
use crate::kernel::graphql::{Count, InField};
use crate::kernel::page::{Connection, Cursor, Page};
use crate::modules::engagement::EngagementFacade;
use crate::modules::engagement::store::suspicion::{self as store, Finding, USER};
use crate::modules::users::graphql::User;

/// A user or an address that did more within an hour than people do.
pub struct SuspiciousActivity(Finding);

/// A user or an address that did more within an hour than people do: `engagement.suspicious_per_hour` says how much that
/// is. One an hour at most of each.
#[Object]
impl SuspiciousActivity {
    /// The user who acted, or for whom a service did; null for an address, and once that user is gone.
    async fn user(&self, ctx: &Context<'_>) -> Option<Result<User>> {
        if self.0.actor_kind != USER {
            return None;
        }
        User::find(ctx, self.0.actor).await.transpose()
    }

    /// The address that viewed without a token (of IPv6 its /64), hashed: 32 hexadecimal digits, always the same ones for
    /// the same address; null for a user.
    async fn address_group(&self) -> Option<String> {
        (self.0.actor_kind != USER).then(|| self.0.actor.simple().to_string())
    }

    /// How many acts it was within the hour that begins at `since`, those that were refused too. Of an hour that is not
    /// over, those so far.
    async fn actions(&self) -> Count {
        Count(self.0.actions)
    }

    /// When the first of them was.
    async fn since(&self) -> Millis {
        self.0.since_at
    }

    /// When the last of them was.
    async fn until(&self) -> Millis {
        self.0.until_at
    }
}

/// How many there are in all.
pub struct SuspicionTotal;

/// What a connection has besides its page.
#[Object]
impl SuspicionTotal {
    /// How many the whole list has; counted only when asked for.
    async fn total_count(&self, ctx: &Context<'_>) -> Result<Count> {
        async { Ok(Count(store::finding_count(&ctx.facade::<EngagementFacade>()?.kernel().db).await?)) }
            .await
            .in_field(ctx)
    }
}

/// Cursors of this list, told apart from those of contents.
const ORDER: u8 = 64;

/// A page of findings, the newest first. What this node found is recorded before it is read.
pub(super) async fn page(
    ctx: &Context<'_>,
    first: Option<i32>,
    after: Option<&str>,
) -> Result<Connection<SuspiciousActivity, SuspicionTotal>> {
    let engagement = ctx.facade::<EngagementFacade>()?;
    let page = Page::new(ORDER, first, after, None, None)?;
    engagement.limits().record().await?;
    let found = match page.size {
        0 => Vec::new(),
        _ => store::finding_page(&engagement.kernel().db, &page).await?,
    };
    Ok(page.connection(found, SuspicionTotal, |finding| {
        let cursor = Cursor { order: ORDER, value: Some(finding.since_at.0), id: finding.id };
        (cursor, SuspiciousActivity(finding))
    }))
}
