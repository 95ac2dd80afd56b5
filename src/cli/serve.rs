//! `tally serve`

use std::sync::Arc;

use super::{OK, StopSignal, say, settings};
use crate::app::App;
use crate::kernel::clock::{Clock, SystemClock};
use crate::kernel::context::Kernel;
use crate::kernel::error::Result;
use crate::kernel::http::raise_open_files;
use crate::kernel::id::Ids;
use crate::server::{Server, Worker};

pub(super) async fn run<A: App>(listen: Option<String>) -> Result<u8> {
    let flags: Vec<_> = listen.map(|address| ("server.listen", address)).into_iter().collect();
    let settings = settings::<A>(&flags)?;
    raise_open_files();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let ids = Arc::new(Ids::new(Arc::clone(&clock)));
    let server = Server::start::<A>(settings, clock, ids).await?;
    stop_on_signal(&server.kernel);
    say(format_args!("listening on http://{}", server.listening.address));
    server.serve(axum::Router::new()).await?;
    Ok(OK)
}

/// `tally worker`
pub(super) async fn work<A: App>() -> Result<u8> {
    let settings = settings::<A>(&[])?;
    raise_open_files();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let ids = Arc::new(Ids::new(Arc::clone(&clock)));
    let worker = Worker::start::<A>(settings, clock, ids).await?;
    stop_on_signal(&worker.kernel);
    say("working");
    worker.run().await?;
    Ok(OK)
}

/// Begins the shutdown when the process is told to stop, from now on: whoever saw it ready may do so at once.
pub(super) fn stop_on_signal(kernel: &Kernel) {
    let (shutdown, mut stop) = (kernel.shutdown.clone(), StopSignal::new());
    tokio::spawn(async move {
        stop.heard().await;
        tracing::info!("stopping");
        shutdown.cancel();
        stop.heard().await;
        // Told twice: whoever asks does not want to wait. Nothing acknowledged is lost by that.
        std::process::exit(130);
    });
}
