//! Who views, without saying who: a view counts once a viewer, content and hour, and nothing else is to be known of it.
//!
//! A viewer's key is an HMAC-SHA256 of the user's id, or of the address of one without a token (of IPv6 the /64), and of
//! the hour: it tells a repeat within the hour, and leads neither back to its viewer nor to the next hour's key. What it
//! is keyed with is random, made at the first start and kept in the database, so that it survives restarts and all nodes
//! have it; `auth.secret`, where there is one, is mixed in, so that a stolen database alone does not tell addresses
//! (there are few enough of them to try).

use std::net::IpAddr;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use uuid::Uuid;

use super::store;
use crate::kernel::clock::Millis;
use crate::kernel::context::Kernel;
use crate::kernel::error::{Error, Result};

/// The hour that a moment is in: its first millisecond.
#[must_use]
pub(super) fn hour_of(at: Millis) -> Millis {
    Millis(at.0.div_euclid(Millis::HOUR) * Millis::HOUR)
}

/// Makes viewers of users and addresses.
#[derive(Clone)]
pub(super) struct Viewers(Hmac<Sha256>);

/// A viewer whom nobody can name any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Viewer([u8; 32]);

impl Viewers {
    /// With the database's secret, which the first start makes.
    ///
    /// # Errors
    /// The database's own.
    pub(super) async fn open(kernel: &Kernel) -> Result<Self> {
        let secret: String = kernel.ids.bytes::<32>().iter().map(|byte| format!("{byte:02x}")).collect();
        let kept = kernel
            .db
            .write(move |tx| {
                let secret = secret.clone();
                Box::pin(async move { store::views::secret_ensure(tx, &secret).await })
            })
            .await?;
        let mixed = keyed(kept.as_bytes())?
            .chain_update(kernel.settings.optional("auth.secret").unwrap_or_default().as_bytes())
            .finalize();
        Ok(Self(keyed(&mixed.into_bytes())?))
    }

    /// One with a token.
    #[must_use]
    pub(super) fn user(&self, user: Uuid) -> Viewer {
        self.viewer(b"user", user.as_bytes())
    }

    /// One without; `address` is a customer's whole network where that is what a customer gets.
    #[must_use]
    pub(super) fn address(&self, address: IpAddr) -> Viewer {
        match address {
            IpAddr::V4(address) => self.viewer(b"ipv4", &address.octets()),
            IpAddr::V6(address) => self.viewer(b"ipv6", &address.octets()),
        }
    }

    /// What stands for an address among suspicious activity: always the same, for an operator to follow.
    #[must_use]
    pub(super) fn group(&self, address: IpAddr) -> Uuid {
        let Viewer(bytes) = self.viewer(b"suspicious", address.to_string().as_bytes());
        let mut half = [0; 16];
        half.copy_from_slice(&bytes[..16]);
        uuid::Builder::from_custom_bytes(half).into_uuid()
    }

    fn viewer(&self, tag: &[u8], who: &[u8]) -> Viewer {
        Viewer(self.0.clone().chain_update(tag).chain_update(who).finalize().into_bytes().into())
    }
}

impl Viewer {
    /// What is stored of a view in an hour: a UUIDv8, so that it can be no other id.
    #[must_use]
    pub(super) fn key(&self, hour: Millis) -> Uuid {
        // 32 bytes are a key that HMAC takes: there is always one.
        let made = keyed(&self.0).map(|mac| mac.chain_update(hour.0.to_be_bytes()).finalize().into_bytes());
        let bytes = made.map(<[u8; 32]>::from).unwrap_or(self.0);
        let mut half = [0; 16];
        half.copy_from_slice(&bytes[..16]);
        uuid::Builder::from_custom_bytes(half).into_uuid()
    }
}

fn keyed(key: &[u8]) -> Result<Hmac<Sha256>> {
    Hmac::<Sha256>::new_from_slice(key).map_err(Error::internal)
}
