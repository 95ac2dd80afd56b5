//! The HTTP server: GraphQL, the pages, health, metrics.

mod accept;
mod answer;
mod assets;
mod body;
mod bounded;
mod client;
mod execution;
mod front;
mod graphql;
mod health;
mod limits;
mod metrics;
mod mode;
mod origins;
mod params;
mod pulse;
mod routes;
mod seats;
mod security;
mod serve;
mod site;
mod socket;
mod stream;

pub use assets::Assets;
pub use client::ClientAddress;
pub(crate) use client::proxy_form;
pub use limits::Limits;
pub use metrics::{MetricsListening, listen_for_metrics};
pub use mode::Mode;
pub use origins::Origins;
pub(crate) use origins::origin_form;
pub use params::Params;
pub use routes::Routes;
pub use seats::raise_open_files;
pub use serve::{Listening, listen};
pub use site::{AnySchema, Operation, Site, refusal};
