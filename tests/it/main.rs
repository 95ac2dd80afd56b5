//! Integration tests, through the public interfaces: GraphQL, HTTP, WebSocket, the command line, and the API for
//! authors of modules. Each runs on every backend. `make test` starts what they need.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "tests"
)]

mod access;
mod act_limits;
mod answers;
mod backup;
mod bad_input;
mod batching;
mod chaos;
mod checked;
mod command_line;
mod comments;
mod consumers;
mod cooling;
mod courier;
mod deletion;
mod equals;
mod event_stream;
mod forgetting;
mod gate;
mod guestbook;
mod happenings;
mod harness;
mod hotness;
mod integrity;
mod jobs;
mod jwks;
mod legacy;
mod likes;
mod limits;
mod lists;
mod model;
mod notifications;
mod operations;
mod origins;
mod outbox;
mod over_http;
mod points;
mod probe;
mod publishing;
mod rankings;
mod recalculation;
mod registry;
mod remains;
mod repairs;
mod retention;
mod shares;
mod simulation;
mod slowness;
mod socket_limits;
mod sockets;
mod status;
mod subscriptions;
mod suspicion;
mod telemetry;
mod tidy;
mod tokens;
mod views;
mod work_command_line;
mod workers;
