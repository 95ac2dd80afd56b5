//! Labels. Each has few values, whatever strangers send: a value more is a time series more, for ever.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::sync::{Arc, PoisonError, RwLock};

use async_graphql::parser::types::OperationType;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};

/// Declares an enum whose values are words of a label.
macro_rules! words {
    ($(#[$doc:meta])* $visibility:vis $name:ident { $($(#[$word_doc:meta])* $word:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        $visibility enum $name { $($(#[$word_doc])* $word),+ }

        impl $name {
            /// Every value.
            pub const ALL: &'static [Self] = &[$(Self::$word),+];

            /// The word.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self { $(Self::$word => $text),+ }
            }
        }

        impl EncodeLabelValue for $name {
            fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
                encoder.write_str(self.word())
            }
        }
    };
}

words!(
    /// How an operation came in.
    pub Transport {
        /// POST or GET.
        Http = "http",
        /// A WebSocket.
        Socket = "socket",
        /// Server-sent events.
        Sse = "sse",
    }
);

words!(
    /// How an operation ended.
    pub Outcome {
        /// Without errors.
        Ok = "ok",
        /// With errors of the client's making: wrong input, missing rights, a conflict.
        Refused = "refused",
        /// With an error of the server's: `INTERNAL`, `UNAVAILABLE`, `OVERLOADED`.
        Failed = "failed",
        /// Whoever asked went away first.
        Cancelled = "cancelled",
    }
);

words!(
    /// What an operation does.
    pub(crate) Kind {
        Query = "query",
        Mutation = "mutation",
        Subscription = "subscription",
    }
);

words!(
    /// A pool of connections to the database.
    pub(crate) Pool {
        Reader = "reader",
        Writer = "writer",
    }
);

impl From<OperationType> for Kind {
    fn from(kind: OperationType) -> Self {
        match kind {
            OperationType::Query => Self::Query,
            OperationType::Mutation => Self::Mutation,
            OperationType::Subscription => Self::Subscription,
        }
    }
}

/// A text that is one of a few, or `other`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Label {
    /// One of the few.
    Named(Arc<str>),
    /// All the rest.
    Other,
}

impl EncodeLabelValue for Label {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        match self {
            Self::Named(name) => encoder.write_str(name),
            Self::Other => encoder.write_str("other"),
        }
    }
}

/// Lets the first so many texts become labels.
#[derive(Debug)]
pub(super) struct Bounded {
    most: usize,
    known: RwLock<HashSet<Arc<str>>>,
}

impl Bounded {
    pub(super) fn new(most: usize) -> Self {
        Self { most, known: RwLock::default() }
    }

    /// The label of `text`; [`Label::Other`] once there are `most` others.
    pub(super) fn label(&self, text: &str) -> Label {
        if let Some(known) = self.known.read().unwrap_or_else(PoisonError::into_inner).get(text) {
            return Label::Named(Arc::clone(known));
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= self.most && !known.contains(text) {
            return Label::Other;
        }
        let text: Arc<str> = text.into();
        known.insert(Arc::clone(&text));
        Label::Named(text)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct RequestLabels {
    pub(super) operation: Label,
    pub(super) kind: Kind,
    pub(super) transport: Transport,
    pub(super) outcome: Outcome,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct DurationLabels {
    pub(super) operation: Label,
    pub(super) kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct KindLabel {
    pub(super) kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct TransportLabel {
    pub(super) transport: Transport,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct CodeLabel {
    pub(super) code: Label,
}

/// A class of statuses or a close code, as the words of constants.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ClassLabel {
    pub(super) class: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct CloseLabel {
    pub(super) code: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ReasonLabel {
    pub(super) reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct PoolLabel {
    pub(super) pool: Pool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct WriterLabel {
    pub(super) writer: &'static str,
}
