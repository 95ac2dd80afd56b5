//! `tally demo`

use std::sync::Arc;

use super::{OK, say, settings};
use crate::app::App;
use crate::cli::serve::stop_on_signal;
use crate::demo::{self, Scale};
use crate::kernel::auth::Role;
use crate::kernel::clock::{Clock, SystemClock};
use crate::kernel::config::Source;
use crate::kernel::error::Result;
use crate::kernel::http::raise_open_files;
use crate::kernel::id::Ids;
use crate::server::Server;

/// How long the demo's tokens hold.
const TOKEN_SECS: i64 = 12 * 3600;

#[derive(clap::Args)]
pub(super) struct Options {
    /// Simulated visitors; 0 turns them off.
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u32).range(0..=1000))]
    visitors: u32,
    /// Demo users.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    users: u32,
    /// Demo artworks and videos.
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    contents: u32,
    /// Where the demo is kept. Not `DATABASE_URL`: a demo must not fill somebody's real database.
    #[arg(long, value_name = "URL", default_value = "sqlite:data/demo.db")]
    database: String,
    /// Address and port; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
}

pub(super) async fn run<A: App>(options: Options) -> Result<u8> {
    raise_open_files();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let ids = Arc::new(Ids::new(Arc::clone(&clock)));
    let given = settings::<A>(&[])?;
    let mut flags: Vec<_> = options.listen.map(|address| ("server.listen", address)).into_iter().collect();
    flags.push(("database.url", options.database));
    if given.source("engagement.history_interval_secs") == Some(&Source::Default) {
        flags.push(("engagement.history_interval_secs", "5".to_owned()));
    }
    // A secret of its own: a demo hands out tokens to anybody, and no real server is to take them.
    let secret: String = ids.bytes::<32>().iter().map(|byte| format!("{byte:02x}")).collect();
    flags.push(("auth.secret", secret));
    // Nor does it take a real issuer's.
    flags.push(("auth.jwks_url", String::new()));
    // GraphiQL is half of what there is to see.
    flags.push(("server.mode", "development".to_owned()));
    let server = Server::start::<A>(settings::<A>(&flags)?, clock, ids).await?;
    let address = server.listening.address;
    let token = server.tokens.mint(&demo::subject(1), &[Role::User], TOKEN_SECS)?;
    say(format_args!("board      http://{address}/"));
    say(format_args!("GraphiQL   http://{address}/graphiql"));
    say(format_args!("GraphQL    http://{address}/graphql"));
    say(format_args!("token      {token}"));
    say("           (demo user 1, 12 hours; send it as «Authorization: Bearer …»)");
    stop_on_signal(&server.kernel);
    let scale = Scale { users: options.users, contents: options.contents, visitors: options.visitors };
    let router = demo::start(&server, scale, TOKEN_SECS)?;
    server.serve(router).await?;
    Ok(OK)
}
