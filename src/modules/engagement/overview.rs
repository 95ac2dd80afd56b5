//! What `tally check` shows beside its checks: how hot things are.

use super::graphql::content_id_text;
use super::hotness::Level;
use super::settings;
use super::store::{read, recount};
use crate::kernel::context::Kernel;
use crate::kernel::error::Result;
use crate::kernel::integrity::Overview;

/// Contents in the ranking of an overview.
const TOP: usize = 10;

/// How many contents were announced at each level, and the hottest ones with their scores now.
///
/// # Errors
/// The database's own.
pub(super) async fn overview(kernel: &Kernel) -> Result<Overview> {
    let counts = recount::level_counts(&kernel.db).await?;
    let name = |number| Level::from_number(number).map_or_else(|| number.to_string(), |level| format!("{level:?}"));
    let levels = counts.into_iter().map(|(level, count)| (name(level).to_uppercase(), count.to_string()));
    let mut overview = vec![("levels".to_owned(), levels.collect())];
    // Without settings there are no scores; the checks have said so.
    if let Ok(standing) = settings::standing(kernel).await {
        let (heat, now) = (standing.in_force.heat, kernel.clock.now());
        let hottest = read::ranking(&kernel.db, None, None, TOP).await?;
        let hottest = hottest.into_iter().map(|record| {
            let id = content_id_text(record.info.kind.number().into(), record.info.id);
            (id, format!("{:.1}", heat.score(record.figures.heat, now)))
        });
        overview.push(("hottest".to_owned(), hottest.collect()));
    }
    Ok(overview)
}
