//! Points, through GraphQL: the ledger, its balances, and all that must never come between them.

mod bad_input;
mod batches;
mod books;
mod chaos;
mod corruption;
mod events;
mod explain;
mod leaderboard;
mod ledger;
mod lost;
mod model;
mod monitoring;
mod reading;
mod repeats;
mod reversals;
mod rules;
mod servers;
mod stage;
mod statements;
