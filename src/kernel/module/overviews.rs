//! What modules show beside their checks, apart from all else that they declare.

use super::{ModuleDecl, OverviewFn};
use crate::kernel::context::Kernel;
use crate::kernel::error::Result;
use crate::kernel::integrity::Overview;

/// The overviews of a list of modules. Cheap to clone.
#[derive(Clone)]
pub struct Overviews(std::sync::Arc<[(&'static str, OverviewFn)]>);

impl Overviews {
    /// Those of these modules.
    #[must_use]
    pub fn of(modules: &[ModuleDecl]) -> Self {
        Self(modules.iter().map(|module| (module.name, module.overview)).collect())
    }

    /// The tables of one module, or of all.
    ///
    /// # Errors
    /// The database's own.
    pub async fn look(&self, kernel: &Kernel, module: Option<&str>) -> Result<Overview> {
        let mut tables = Overview::new();
        for (_, overview) in self.0.iter().filter(|(name, _)| module.is_none_or(|module| module == *name)) {
            tables.extend(overview(kernel).await?);
        }
        Ok(tables)
    }
}
