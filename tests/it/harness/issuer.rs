//! An issuer of tokens on loopback: publishes its keys, changes them, fails, hangs, or talks nonsense.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384,
    RSA_PSS_SHA256, RsaKeyPair,
};
use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// What the issuer answers.
#[derive(Clone)]
pub(crate) enum Says {
    /// A set of these keys.
    Keys(Vec<Value>),
    /// This text.
    Text(String),
    /// An error.
    Fails,
    /// Go there.
    Redirect(String),
    /// Nothing, ever.
    Hangs,
}

/// The issuer; it ends with the test's runtime.
pub(crate) struct Issuer {
    /// Where its keys are.
    pub(crate) url: String,
    says: Arc<Mutex<Says>>,
    asked: Arc<AtomicU32>,
}

impl Issuer {
    pub(crate) async fn start(says: Says) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/keys", listener.local_addr().expect("an address"));
        let (says, asked) = (Arc::new(Mutex::new(says)), Arc::new(AtomicU32::new(0)));
        let (now, count) = (Arc::clone(&says), Arc::clone(&asked));
        let answering = get(move || {
            count.fetch_add(1, Ordering::SeqCst);
            let says = now.lock().expect("no panic").clone();
            answer(says)
        });
        tokio::spawn(async move { axum::serve(listener, Router::new().route("/keys", answering)).await });
        Self { url, says, asked }
    }

    /// An issuer with these keys.
    pub(crate) async fn of(keys: &[&Key]) -> Self {
        Self::start(Says::Keys(keys.iter().map(|key| key.jwk()).collect())).await
    }

    pub(crate) fn says(&self, says: Says) {
        *self.says.lock().expect("no panic") = says;
    }

    pub(crate) fn publishes(&self, keys: &[&Key]) {
        self.says(Says::Keys(keys.iter().map(|key| key.jwk()).collect()));
    }

    /// How often its keys were asked for.
    pub(crate) fn asked(&self) -> u32 {
        self.asked.load(Ordering::SeqCst)
    }
}

async fn answer(says: Says) -> Response {
    let text = match says {
        Says::Keys(keys) => json!({ "keys": keys }).to_string(),
        Says::Text(text) => text,
        Says::Fails => return StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        Says::Redirect(to) => return (StatusCode::FOUND, [(header::LOCATION, to)]).into_response(),
        Says::Hangs => std::future::pending().await,
    };
    ([(header::CONTENT_TYPE, "application/jwk-set+json")], text).into_response()
}

/// A key of the issuer, both halves.
pub(crate) struct Key {
    kid: &'static str,
    pair: Pair,
}

enum Pair {
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

impl Key {
    /// RS256
    pub(crate) fn rsa(kid: &'static str) -> Self {
        Self { kid, pair: Pair::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).expect("a key")) }
    }

    /// ES256
    pub(crate) fn ec(kid: &'static str) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
        Self { kid, pair: Pair::Ec(pair) }
    }

    /// EdDSA
    pub(crate) fn ed(kid: &'static str) -> Self {
        Self { kid, pair: Pair::Ed(Ed25519KeyPair::generate().expect("a key")) }
    }

    pub(crate) fn alg(&self) -> &'static str {
        match self.pair {
            Pair::Rsa(_) => "RS256",
            Pair::Ec(_) => "ES256",
            Pair::Ed(_) => "EdDSA",
        }
    }

    /// The public half.
    pub(crate) fn jwk(&self) -> Value {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match &self.pair {
            Pair::Rsa(pair) => {
                let (n, e) = (pair.public_key().modulus(), pair.public_key().exponent());
                let (n, e) = (n.big_endian_without_leading_zero(), e.big_endian_without_leading_zero());
                json!({ "kty": "RSA", "kid": self.kid, "use": "sig", "n": text(n), "e": text(e) })
            }
            Pair::Ec(pair) => {
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                json!({ "kty": "EC", "crv": "P-256", "kid": self.kid, "alg": "ES256", "x": text(x), "y": text(y) })
            }
            Pair::Ed(pair) => {
                let x = text(pair.public_key().as_ref());
                json!({ "kty": "OKP", "crv": "Ed25519", "kid": self.kid, "key_ops": ["verify"], "x": x })
            }
        }
    }

    /// A token with these claims, as a good issuer makes it.
    pub(crate) fn token(&self, claims: &Value) -> String {
        self.signed(&json!({ "typ": "JWT", "alg": self.alg(), "kid": self.kid }), claims)
    }

    /// A token with any header at all.
    pub(crate) fn signed(&self, header: &Value, claims: &Value) -> String {
        let message = unsigned(header, claims);
        let signature = self.sign(message.as_bytes(), header["alg"].as_str().expect("an algorithm"));
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn sign(&self, message: &[u8], alg: &str) -> Vec<u8> {
        match &self.pair {
            Pair::Rsa(pair) => {
                let encoding = match alg {
                    "PS256" => &RSA_PSS_SHA256,
                    "RS384" => &RSA_PKCS1_SHA384,
                    _ => &RSA_PKCS1_SHA256,
                };
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(encoding, &SystemRandom::new(), message, &mut signature).expect("a signature");
                signature
            }
            Pair::Ec(pair) => pair.sign(&SystemRandom::new(), message).expect("a signature").as_ref().to_vec(),
            Pair::Ed(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }
}

/// Header and claims, before they are signed.
pub(crate) fn unsigned(header: &Value, claims: &Value) -> String {
    let text = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}", text(header), text(claims))
}
