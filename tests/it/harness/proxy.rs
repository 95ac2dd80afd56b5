//! A TCP proxy before PostgreSQL that can lose the answer to a COMMIT: the worst moment for a connection to break.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::TestDatabase;

/// What PostgreSQL's simple query message says at the end of a transaction.
const COMMIT: &[u8] = b"COMMIT";

/// The proxy; it ends with the test's runtime.
pub(crate) struct LossyProxy {
    address: String,
    armed: Arc<AtomicBool>,
}

impl LossyProxy {
    pub(crate) async fn start(database: &TestDatabase) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let armed = Arc::new(AtomicBool::new(false));
        let (server, arm) = (host(&database.url), Arc::clone(&armed));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let upstream = TcpStream::connect(&server).await.expect("the server is there");
                tokio::spawn(pump(client, upstream, Arc::clone(&arm)));
            }
        });
        Self { address, armed }
    }

    /// The same database, through the proxy.
    pub(crate) fn database(&self, mut database: TestDatabase) -> TestDatabase {
        database.url = database.url.replace(&host(&database.url), &self.address);
        database
    }

    pub(crate) fn lose_the_next_commits_answer(&self) {
        self.armed.store(true, Ordering::SeqCst);
    }

    pub(crate) fn has_lost_it(&self) -> bool {
        !self.armed.load(Ordering::SeqCst)
    }
}

fn host(url: &str) -> String {
    let after_user = url.rsplit('@').next().expect("a URL");
    after_user.split('/').next().expect("a host").to_owned()
}

async fn pump(mut client: TcpStream, mut server: TcpStream, armed: Arc<AtomicBool>) {
    let (mut asked, mut answered) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    loop {
        tokio::select! {
            read = client.read(&mut asked) => {
                let Ok(length @ 1..) = read else { return };
                let asks_to_commit = asked[..length].windows(COMMIT.len()).any(|bytes| bytes == COMMIT);
                server.write_all(&asked[..length]).await.expect("the server takes it");
                if asks_to_commit && armed.swap(false, Ordering::SeqCst) {
                    // It commits; then the connection is gone, and its answer with it.
                    let _ = server.read(&mut answered).await;
                    return;
                }
            }
            read = server.read(&mut answered) => {
                let Ok(length @ 1..) = read else { return };
                if client.write_all(&answered[..length]).await.is_err() { return }
            }
        }
    }
}
