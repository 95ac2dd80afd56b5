//! How many connections may be open, overall and of one client.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::client::ClientAddress;
use super::mode::Mode;
use crate::kernel::config::Settings;

/// Files that are not connections: the database's, the log's, the listener's, those being accepted.
const OTHER_FILES: usize = 128;

/// The places for connections.
pub(super) struct Seats {
    most: usize,
    most_of_one: u32,
    taken: AtomicUsize,
    /// Only who has a connection is in here.
    of_one: Mutex<HashMap<IpAddr, u32>>,
}

/// A connection's place, until it is dropped.
pub(super) struct Seat {
    seats: Arc<Seats>,
    /// Whom it counts for; nobody: a proxy, behind which there are many.
    client: Option<IpAddr>,
}

impl Seats {
    /// Reads `server.connections…`. There are never more than the process may have open files for: a server that has
    /// none left cannot reach its database either.
    pub(super) fn new(settings: &Settings) -> Arc<Self> {
        let wanted = settings.count("server.connections") as usize;
        let most = open_files_most().map_or(wanted, |files| wanted.min(files.saturating_sub(OTHER_FILES).max(1)));
        if most < wanted {
            tracing::info!(
                most,
                "fewer connections than server.connections: raise the limit of open files (ulimit -n)"
            );
        }
        Arc::new(Self {
            most,
            most_of_one: match Mode::limit(settings, "server.connections_per_client") {
                0 => u32::MAX,
                most => most,
            },
            taken: AtomicUsize::new(0),
            of_one: Mutex::default(),
        })
    }

    /// Those of sockets and event streams: none overall beside the connections' own, `server.sockets_per_client` of one
    /// client, also where a proxy brings many.
    pub(super) fn of_listeners(settings: &Settings) -> Arc<Self> {
        let most_of_one = match Mode::limit(settings, "server.sockets_per_client") {
            0 => u32::MAX,
            most => most,
        };
        Arc::new(Self { most: usize::MAX, most_of_one, taken: AtomicUsize::new(0), of_one: Mutex::default() })
    }

    /// A place for a connection of `client`, or why there is none.
    pub(super) fn take(self: &Arc<Self>, client: Option<ClientAddress>) -> Result<Seat, &'static str> {
        // The accepting task alone takes places.
        if self.taken.load(Ordering::Relaxed) >= self.most {
            return Err("all connections are taken");
        }
        let client = client.map(ClientAddress::group);
        if let Some(client) = client {
            let mut of_one = self.of_one.lock().unwrap_or_else(PoisonError::into_inner);
            let taken = of_one.entry(client).or_default();
            if *taken >= self.most_of_one {
                return Err("one client has all the connections that it may");
            }
            *taken += 1;
        }
        self.taken.fetch_add(1, Ordering::Relaxed);
        Ok(Seat { seats: Arc::clone(self), client })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats.taken.fetch_sub(1, Ordering::Relaxed);
        if let Some(client) = self.client {
            let mut of_one = self.seats.of_one.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(taken) = of_one.get_mut(&client) {
                *taken -= 1;
                if *taken == 0 {
                    of_one.remove(&client);
                }
            }
        }
    }
}

/// How many files the process may have open, where Linux says it. Source: proc_pid_limits(5).
fn open_files_most() -> Option<usize> {
    usize::try_from(getrlimit(Resource::Nofile).current?).ok()
}

/// Lets the process open as many files as its administrator allows; shells start it with fewer, for the sake of
/// programs that could not count further.
pub fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, ..limit };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::debug!(%error, "the limit of open files stays");
    }
}
