//! A GraphQL client over HTTP, and one over graphql-transport-ws.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

/// Speaks for somebody.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    url: String,
    token: Option<String>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Answer {
    /// The data; the test fails if there is an error.
    pub(crate) fn data(&self) -> &Value {
        assert!(self.body.get("errors").is_none(), "unexpected errors: {:#}", self.body);
        &self.body["data"]
    }

    /// The code of the only error; the test fails if there is none.
    pub(crate) fn code(&self) -> &str {
        let errors = self.body["errors"].as_array().unwrap_or_else(|| panic!("no errors in {:#}", self.body));
        assert_eq!(errors.len(), 1, "{:#}", self.body);
        errors[0]["extensions"]["code"].as_str().expect("a code")
    }

    /// The message of the first error.
    pub(crate) fn message(&self) -> &str {
        self.body["errors"][0]["message"].as_str().unwrap_or_else(|| panic!("no errors in {:#}", self.body))
    }
}

impl Client {
    pub(crate) fn new(url: &str, token: Option<String>) -> Self {
        Self { http: crate::harness::http(), url: url.to_owned(), token }
    }

    /// Runs an operation. `Err`: the connection broke, and nobody knows whether it ran.
    pub(crate) async fn try_run(&self, query: &str, variables: Value) -> Result<Answer, reqwest::Error> {
        let mut request = self.http.post(format!("{}/graphql", self.url));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        // With this media type a status says whether anything was executed.
        let request = request.header("Accept", "application/graphql-response+json");
        let response = request.json(&json!({ "query": query, "variables": variables })).send().await?;
        let status = response.status().as_u16();
        Ok(Answer { status, body: response.json().await? })
    }

    pub(crate) async fn run(&self, query: &str, variables: Value) -> Answer {
        self.try_run(query, variables).await.expect("an answer")
    }

    pub(crate) async fn query(&self, query: &str) -> Answer {
        self.run(query, json!({})).await
    }

    /// Publishes an artwork and returns its id.
    pub(crate) async fn publish(&self, title: &str) -> String {
        let query = "mutation ($title: String!) { publishArtwork(input: { title: $title }) { artwork { id } } }";
        let answer = self.run(query, json!({ "title": title })).await;
        answer.data()["publishArtwork"]["artwork"]["id"].as_str().expect("an id").to_owned()
    }

    /// Publishes so many artworks, some at once, and returns their ids in order: of hundreds of
    /// new connections at once, some would say nothing for longer than `server.first_byte_secs` on a slow machine.
    pub(crate) async fn publish_many(&self, count: usize) -> Vec<String> {
        let published = (0..count).map(|n| async move { self.publish(&format!("artwork {n}")).await });
        futures_util::stream::iter(published).buffered(50).collect().await
    }

    /// Runs like, unlike, favorite or unfavorite.
    pub(crate) async fn act(&self, verb: &str, content: &str) -> Answer {
        let query = format!(
            "mutation ($id: ID!) {{ {verb}(contentId: $id) {{ changed content {{ id likeCount favoriteCount \
             hotness {{ score level rank }} viewerHasLiked viewerHasFavorited }} }} }}"
        );
        self.run(&query, json!({ "id": content })).await
    }

    /// The id of the user that it speaks for.
    pub(crate) async fn id(&self) -> String {
        let answer = self.query("{ me { user { id } } }").await;
        answer.data()["me"]["user"]["id"].as_str().expect("an id").to_owned()
    }

    /// Subscribes over a socket of its own.
    pub(crate) async fn listen(&self, subscription: &str) -> Listener {
        Listener::open(&self.url, self.token.as_deref(), subscription).await
    }
}

/// What somebody is called who gave no name: not the token's subject, which may be an email address.
pub(crate) fn unnamed(id: &str) -> String {
    format!("user {}", &id[id.len() - 6..])
}

/// One subscription on one socket.
pub(crate) struct Listener(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Listener {
    async fn connect(url: &str, headers: &[(&'static str, &str)]) -> WebSocketStream<MaybeTlsStream<TcpStream>> {
        let mut request = format!("{}/graphql", url.replace("http", "ws")).into_client_request().expect("a request");
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().expect("a header"));
        }
        tokio_tungstenite::connect_async(request).await.expect("a socket").0
    }

    /// A socket of one's own: what is sent on it, and when, is the caller's to say.
    pub(crate) async fn raw(url: &str) -> Self {
        Self::raw_with(url, &[("sec-websocket-protocol", "graphql-transport-ws")]).await
    }

    /// The same, with headers of one's own.
    pub(crate) async fn raw_with(url: &str, headers: &[(&'static str, &str)]) -> Self {
        Self(Self::connect(url, headers).await)
    }

    async fn open(url: &str, token: Option<&str>, subscription: &str) -> Self {
        let mut listener = Self::raw(url).await;
        let payload = token.map(|token| json!({ "Authorization": format!("Bearer {token}") }));
        listener.send(json!({ "type": "connection_init", "payload": payload })).await;
        assert_eq!(listener.message().await["type"], "connection_ack");
        listener.send(json!({ "type": "subscribe", "id": "1", "payload": { "query": subscription } })).await;
        listener
    }

    /// An acknowledged socket without a token.
    pub(crate) async fn acknowledged(url: &str) -> Self {
        let mut listener = Self::raw(url).await;
        listener.send(json!({ "type": "connection_init" })).await;
        assert_eq!(listener.message().await, json!({ "type": "connection_ack" }));
        listener
    }

    /// Starts an operation.
    pub(crate) async fn subscribe(&mut self, id: &str, query: &str) {
        self.send(json!({ "type": "subscribe", "id": id, "payload": { "query": query } })).await;
    }

    /// Sends a message of the protocol.
    pub(crate) async fn send(&mut self, message: Value) {
        self.0.send(Message::text(message.to_string())).await.expect("a message is sent");
    }

    /// The next message; the test fails when the socket ends.
    pub(crate) async fn message(&mut self) -> Value {
        loop {
            let message = tokio::time::timeout(PATIENCE, self.0.next()).await.expect("a message in time");
            match message.expect("an open socket").expect("a message") {
                Message::Text(text) => return serde_json::from_str(&text).expect("JSON"),
                Message::Close(frame) => panic!("closed: {frame:?}"),
                _ => {}
            }
        }
    }

    /// The next `data`; the test fails on an error.
    pub(crate) async fn next(&mut self) -> Value {
        let message = self.message().await;
        assert_eq!(message["type"], "next", "{message:#}");
        assert!(message["payload"].get("errors").is_none(), "{message:#}");
        message["payload"]["data"].clone()
    }

    /// The next message's payload, errors and all.
    pub(crate) async fn next_payload(&mut self) -> Value {
        self.message().await["payload"].clone()
    }

    /// The next `data` for which `wanted` holds.
    pub(crate) async fn until(&mut self, mut wanted: impl FnMut(&Value) -> bool) -> Value {
        loop {
            let data = self.next().await;
            if wanted(&data) {
                return data;
            }
        }
    }

    /// The next message's payload, while `act` is repeated: a subscription has no moment of its own at which it begins
    /// to hear. The last act ends, too: nothing is in flight afterwards.
    pub(crate) async fn next_while(&mut self, mut act: impl AsyncFnMut()) -> Value {
        let heard = std::cell::Cell::new(false);
        let hearing = async {
            let payload = self.next_payload().await;
            heard.set(true);
            payload
        };
        let acting = async {
            while !heard.get() {
                act().await;
            }
        };
        futures_util::future::join(hearing, acting).await.0
    }

    /// Whether no message comes within `span`.
    pub(crate) async fn silent_for(&mut self, span: Duration) -> bool {
        let heard = async { while let Some(Ok(Message::Ping(_) | Message::Pong(_))) = self.0.next().await {} };
        tokio::time::timeout(span, heard).await.is_err()
    }

    /// Reads until nothing comes for a moment; false when the socket has ended.
    pub(crate) async fn drain(&mut self) -> bool {
        while let Ok(frame) = tokio::time::timeout(Duration::from_millis(2), self.0.next()).await {
            if !matches!(frame, Some(Ok(Message::Text(_) | Message::Ping(_) | Message::Pong(_)))) {
                return false;
            }
        }
        true
    }

    /// The next frame of any kind.
    pub(crate) async fn frame(&mut self) -> Message {
        let frame = tokio::time::timeout(PATIENCE, self.0.next()).await.expect("a frame in time");
        frame.expect("an open socket").expect("a frame")
    }

    /// Sends any frame; false when the socket is gone.
    pub(crate) async fn send_frame(&mut self, frame: Message) -> bool {
        self.0.send(frame).await.is_ok()
    }

    /// The connection below, to send what is no frame at all.
    pub(crate) fn connection(&mut self) -> &mut MaybeTlsStream<TcpStream> {
        self.0.get_mut()
    }

    /// Waits until the server ends the socket; returns its code and reason (0 when it did not say goodbye), and what it
    /// still sent.
    pub(crate) async fn end(mut self) -> ((u16, String), Vec<String>) {
        let ended = async {
            let (mut close, mut texts) = ((0, String::new()), Vec::new());
            while let Some(Ok(message)) = self.0.next().await {
                match message {
                    Message::Text(text) => texts.push(text.to_string()),
                    Message::Close(Some(frame)) => close = (frame.code.into(), frame.reason.to_string()),
                    _ => {}
                }
            }
            (close, texts)
        };
        tokio::time::timeout(PATIENCE, ended).await.expect("the socket ends in time")
    }
}

/// An HTTP client without certificates: all that is spoken here is plain HTTP on loopback, and to read those of the
/// system takes longer than most tests.
pub(crate) fn http() -> reqwest::Client {
    reqwest::Client::builder().tls_certs_only([]).build().expect("a client")
}
