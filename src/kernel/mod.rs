//! What every module stands on. Names no module.

pub mod auth;
pub mod backup;
pub mod batch;
pub mod clock;
pub mod config;
pub mod context;
pub mod days;
pub mod db;
pub mod error;
pub mod events;
pub mod gate;
pub mod graphql;
pub mod http;
pub mod id;
pub mod integrity;
pub mod jobs;
pub mod live;
pub mod module;
pub mod nodes;
pub mod page;
pub mod peers;
pub mod ranking;
pub mod telemetry;
pub mod text;
