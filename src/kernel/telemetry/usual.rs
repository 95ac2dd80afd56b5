//! The series that every request counts in, found by number: a [`Family`] hashes the labels to find its series, and
//! four of those a request are time that a small query feels.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::Histogram;

use super::families::{CLASSES, Families};
use super::labels::{
    ClassLabel, DurationLabels, Kind, KindLabel, Label, Outcome, RequestLabels, Transport, TransportLabel,
};

/// Handles of the series of operations without a name of their own, and of answers.
#[derive(Debug)]
pub(super) struct Usual {
    requests: Vec<Counter>,
    timed: Vec<Timed>,
    responses: Vec<Counter>,
    messages: Vec<Counter>,
}

/// What is observed of a query or mutation.
#[derive(Debug)]
pub(super) struct Timed {
    pub(super) durations: Histogram,
    pub(super) statements: Histogram,
}

/// Place of a request's counter: as [`Usual::new`] makes them.
fn place(kind: Kind, transport: Transport, outcome: Outcome) -> usize {
    (kind as usize * Transport::ALL.len() + transport as usize) * Outcome::ALL.len() + outcome as usize
}

impl Usual {
    /// Makes the series, at zero: one that appears with its first event hides that event.
    pub(super) fn new(families: &Families) -> Self {
        let mut requests = Vec::new();
        for kind in Kind::ALL {
            for transport in Transport::ALL {
                for outcome in Outcome::ALL {
                    let (kind, transport, outcome) = (*kind, *transport, *outcome);
                    let labels = RequestLabels { operation: Label::Other, kind, transport, outcome };
                    requests.push(families.requests.get_or_create_owned(&labels));
                }
            }
        }
        let timed = [Kind::Query, Kind::Mutation].map(|kind| Timed {
            durations: families.durations.get_or_create_owned(&DurationLabels { operation: Label::Other, kind }),
            statements: families.statements.get_or_create_owned(&KindLabel { kind }),
        });
        let responses = CLASSES.map(|class| families.responses.get_or_create_owned(&ClassLabel { class }));
        let messages = Transport::ALL
            .iter()
            .map(|transport| families.messages.get_or_create_owned(&TransportLabel { transport: *transport }));
        Self { requests, timed: timed.into(), responses: responses.into(), messages: messages.collect() }
    }

    pub(super) fn request(&self, kind: Kind, transport: Transport, outcome: Outcome) -> Option<&Counter> {
        self.requests.get(place(kind, transport, outcome))
    }

    /// Of queries and mutations; subscriptions take as long as their listeners like.
    pub(super) fn timed(&self, kind: Kind) -> Option<&Timed> {
        self.timed.get(kind as usize)
    }

    /// `None` for a status of no class.
    pub(super) fn response(&self, status: u16) -> Option<&Counter> {
        self.responses.get(usize::from(status / 100).wrapping_sub(1))
    }

    pub(super) fn messages(&self, transport: Transport) -> Option<&Counter> {
        self.messages.get(transport as usize)
    }
}
