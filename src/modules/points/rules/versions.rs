//! The rules from when on. Each server writes its settings down as it starts, if they are others than the last ones: what
//! was done before, and is delivered later, is by the rules of then.

use super::{RULE_CONTENTS, RULES, Rules};
use crate::kernel::clock::Millis;
use crate::kernel::config::Settings;
use crate::kernel::context::Kernel;
use crate::kernel::days::TIME_ZONE;
use crate::kernel::error::Result;
use crate::modules::points::store::rule_versions as store;

/// What settings say of rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Wording {
    pub(in super::super) rules: String,
    pub(in super::super) contents: String,
    pub(in super::super) time_zone: String,
}

impl Wording {
    fn of(settings: &Settings) -> Self {
        let contents: Vec<_> = settings.list(RULE_CONTENTS).collect();
        Self {
            rules: settings.text(RULES).to_owned(),
            contents: contents.join(","),
            time_zone: settings.text(TIME_ZONE).to_owned(),
        }
    }
}

/// All rules that ever were, by the moments from which on they are.
pub(super) struct Versions {
    /// Those of all times before the others.
    first: Rules,
    /// Oldest first.
    later: Vec<(Millis, Rules)>,
}

impl Versions {
    /// From what is written down, oldest first; `own` where there is nothing.
    ///
    /// # Errors
    /// For rules that were written by hand and are none.
    pub(super) fn new(own: &Rules, written: &[(Millis, Wording)]) -> Result<Self> {
        let mut all = written.iter().map(|(from, wording)| Ok((*from, Rules::worded(wording)?)));
        let first = all.next().transpose()?.map_or_else(|| own.clone(), |(_, rules)| rules);
        Ok(Self { first, later: all.collect::<Result<_>>()? })
    }

    /// The rules of a moment.
    pub(super) fn at(&self, at: Millis) -> &Rules {
        let later = self.later.iter().rev().find(|(from, _)| *from <= at);
        later.map_or(&self.first, |(_, rules)| rules)
    }
}

/// How far the clock of another node may be ahead.
const CLOCK_SKEW: i64 = 10 * Millis::MINUTE;

/// Writes the settings down, from now on, if they are not the last ones. Of servers that start at once one does. What a
/// clock that jumped wrote down for a time to come is not waited for: it goes.
///
/// # Errors
/// The database's own.
pub(in super::super) async fn begin(kernel: &Kernel) -> Result<()> {
    let own = Wording::of(&kernel.settings);
    // Most starts change nothing, and need no writer.
    let now = kernel.clock.now();
    let latest = now.plus(CLOCK_SKEW);
    let last = store::version_last(kernel.db.reader(), kernel.backend()).await?;
    if last.is_some_and(|(from, last)| last == own && from <= latest) {
        return Ok(());
    }
    let write = kernel.db.write(move |tx| {
        let own = own.clone();
        Box::pin(async move {
            if store::versions_remove_after(tx, latest).await? > 0 {
                tracing::warn!("rules were written down for a time to come: the clock was set");
            }
            let from = match store::version_last(tx.connection(), tx.backend()).await? {
                Some((_, last)) if last == own => return Ok(()),
                Some((from, _)) => now.max(from.plus(1)),
                None => Millis(0),
            };
            store::version_insert(tx, from, &own).await
        })
    });
    write.await
}
