//! A complete module outside tally's source: a guestbook. `docs/modules.md` points here. A real one would have a folder
//! with the rooms of `src/modules/users`; in one file the whole can be read at a glance.

use std::sync::Arc;

use async_graphql::{Context, Object, OutputType as _, Subscription};
use chrono::{DateTime, Utc};
use futures_util::{Stream, StreamExt as _, stream};
use sea_orm::entity::prelude::*;
use sea_orm::{IntoActiveModel as _, QueryOrder as _, QuerySelect as _, Statement};
use sea_orm_migration::MigrationTrait;
use tally::kernel::auth::{Access, Role, Root, Session};
use tally::kernel::config::{Form, Setting};
use tally::kernel::context::{FacadeExt as _, Kernel};
use tally::kernel::db::Tx;
use tally::kernel::error::{Error, Result};
use tally::kernel::graphql::{BoxNode, NodeKind};
use tally::kernel::id::Id;
use tally::kernel::integrity::{Check, Explain, Overview};
use tally::kernel::live::{Conflate, Live};
use tally::kernel::module::{Module, Start};
use tally::kernel::page::checked_size;
use tally::kernel::text;
use tally::modules::users::{UsersFacade, graphql::User};
use tokio_stream::wrappers::BroadcastStream;

use super::checks::{NoteCount, NotesCounted, overview};
use super::tables;

/// The module: everything that tally has to know of it.
pub struct Guestbook;

impl Module for Guestbook {
    type Query = GuestbookQuery;
    type Mutation = GuestbookMutation;
    type Subscription = GuestbookSubscription;
    type Viewer = GuestbookViewer;

    const NAME: &'static str = "guestbook";
    const DEPENDS_ON: &'static [&'static str] = &["users"];
    const SETTINGS: &'static [Setting] = &[Setting {
        key: "guestbook.note_chars",
        alias: None,
        default: Some("500"),
        form: Form::Count(1, 10_000),
        doc: "length of a note at most, in characters",
    }];
    const ACCESS: &'static [(Root, &'static str, Access)] = &[
        (Root::Query, "notes", Access::Anyone),
        (Root::Mutation, "writeNote", Access::SignedIn),
        (Root::Mutation, "eraseNote", Access::Roles(&[Role::Operator])),
        (Root::Subscription, "noteWritten", Access::Anyone),
    ];

    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![Box::new(tables::M0001Notes)]
    }

    fn nodes() -> Vec<NodeKind> {
        vec![NodeKind {
            prefix: "note",
            access: Access::Anyone,
            register: Note::create_type_info,
            load: |ctx, id| {
                Box::pin(async move { Ok(ctx.facade::<GuestbookFacade>()?.find(id).await?.map(BoxNode::new)) })
            },
        }]
    }

    fn checks() -> Vec<Arc<dyn Check>> {
        vec![Arc::new(NoteCount)]
    }

    fn explanations() -> Vec<Arc<dyn Explain>> {
        vec![Arc::new(NotesCounted)]
    }

    async fn overview(kernel: &Kernel) -> Result<Overview> {
        overview(kernel).await
    }

    async fn start(start: &mut Start<'_>) -> Result<()> {
        // Of what this module declares in DEPENDS_ON; anything else is refused here.
        let users = start.facade::<UsersFacade>()?.clone();
        let kernel = start.kernel.clone();
        let interval = std::time::Duration::from_millis(20);
        let live = Live::start(interval, &kernel.tasks, kernel.shutdown.clone());
        start.provide(GuestbookFacade(Arc::new(Inner { kernel, users, live })))
    }
}

tally::id_kind! {
    /// Ids of notes.
    NoteKind = "note";
}

/// The guestbook, for resolvers and for modules that depend on it. Cheap to clone.
#[derive(Clone)]
pub struct GuestbookFacade(Arc<Inner>);

struct Inner {
    kernel: Kernel,
    users: UsersFacade,
    live: Arc<Live<Note>>,
}

impl GuestbookFacade {
    /// Writes a note; durable when it returns.
    pub async fn write(&self, session: &Session, text: &str) -> Result<Note> {
        let kernel = &self.0.kernel;
        let most = kernel.settings.count("guestbook.note_chars") as usize;
        let note = tables::notes::Model {
            id: kernel.ids.next(),
            author_id: self.0.users.viewer_id(session).await?,
            text: text::required("text", text, most)?,
            written_at: kernel.clock.now(),
        };
        let row = note.clone();
        kernel.db.write(move |tx| Box::pin(note_insert(tx, row.clone()))).await?;
        // Listeners hear of it after the commit: what they are told is true.
        self.0.live.publish([Note(note.clone())]);
        Ok(Note(note))
    }

    /// Erases a note; false when there was none.
    pub async fn erase(&self, id: Uuid) -> Result<bool> {
        self.0.kernel.db.write(move |tx| Box::pin(note_delete(tx, id))).await
    }

    /// A note by id.
    pub async fn find(&self, id: Uuid) -> Result<Option<Note>> {
        Ok(tables::notes::Entity::find_by_id(id).one(self.0.kernel.db.reader()).await?.map(Note))
    }
}

/// Adds a note and counts it, in one transaction. It may be run again after a COMMIT whose answer was lost: the id,
/// made before the first try, tells.
async fn note_insert(tx: &Tx, note: tables::notes::Model) -> Result<()> {
    if tables::notes::Entity::find_by_id(note.id).one(tx.connection()).await?.is_some() {
        return Ok(());
    }
    note_count_add(tx, note.author_id, 1).await?;
    note.into_active_model().insert(tx.connection()).await?;
    Ok(())
}

async fn note_delete(tx: &Tx, id: Uuid) -> Result<bool> {
    let Some(note) = tables::notes::Entity::find_by_id(id).one(tx.connection()).await? else {
        return Ok(false);
    };
    note_count_add(tx, note.author_id, -1).await?;
    // Another transaction may have erased it while this one waited for the counter's lock.
    let erased = tables::notes::Entity::delete_by_id(id).exec(tx.connection()).await?.rows_affected;
    if erased == 1 { Ok(true) } else { Err(Error::conflict("the note is being erased")) }
}

/// The counter's row is the lock of an author's notes: every write of them takes it first.
pub(super) async fn note_count_add(tx: &Tx, author: Uuid, change: i64) -> Result<()> {
    let sql = "INSERT INTO guestbook_counts (author_id, note_count) VALUES ($1, $2)
               ON CONFLICT (author_id) DO UPDATE SET note_count = guestbook_counts.note_count + excluded.note_count";
    let values = [author.into(), change.into()];
    let written = tx.execute(Statement::from_sql_and_values(tx.backend(), sql, values)).await?.rows_affected();
    if written == 1 { Ok(()) } else { Err(Error::internal(format!("{written} counters written instead of 1"))) }
}

/// A note.
#[derive(Clone)]
pub struct Note(tables::notes::Model);

/// Something that a visitor wrote.
#[Object]
impl Note {
    /// `note_…`
    async fn id(&self) -> Id<NoteKind> {
        Id::new(self.0.id)
    }

    /// What it says.
    async fn text(&self) -> &str {
        &self.0.text
    }

    /// Who wrote it. The facade reads the authors of a whole page in one statement.
    async fn author(&self, ctx: &Context<'_>) -> Option<Result<User>> {
        User::find(ctx, self.0.author_id).await.transpose()
    }

    /// When it was written.
    async fn written_at(&self) -> DateTime<Utc> {
        self.0.written_at.to_utc()
    }
}

impl Conflate for Note {
    type Key = Uuid;
    type Topic = ();

    fn key(&self) -> Uuid {
        self.0.id
    }

    fn topic(&self) {}

    fn absorb(&mut self, newer: Self) {
        *self = newer;
    }
}

/// Root queries.
#[derive(Default)]
pub struct GuestbookQuery;

#[Object]
impl GuestbookQuery {
    /// The newest notes.
    async fn notes(&self, ctx: &Context<'_>, #[graphql(default = 20)] first: i32) -> Result<Vec<Note>> {
        let newest = tables::notes::Entity::find()
            .order_by_desc(tables::notes::Column::WrittenAt)
            .order_by_desc(tables::notes::Column::Id)
            .limit(checked_size("first", first)? as u64);
        let reader = ctx.facade::<GuestbookFacade>()?.0.kernel.db.reader();
        Ok(newest.all(reader).await?.into_iter().map(Note).collect())
    }
}

/// Root mutations.
#[derive(Default)]
pub struct GuestbookMutation;

#[Object]
impl GuestbookMutation {
    /// Writes a note.
    async fn write_note(&self, ctx: &Context<'_>, text: String) -> Result<Note> {
        ctx.facade::<GuestbookFacade>()?.write(Session::of(ctx), &text).await
    }

    /// Erases a note; false when there was none. For operators.
    async fn erase_note(&self, ctx: &Context<'_>, id: Id<NoteKind>) -> Result<bool> {
        ctx.facade::<GuestbookFacade>()?.erase(id.uuid()).await
    }
}

/// Root subscriptions.
#[derive(Default)]
pub struct GuestbookSubscription;

#[Subscription]
impl GuestbookSubscription {
    /// Hears of every note from now on.
    async fn note_written<'a>(&self, ctx: &Context<'a>) -> Result<impl Stream<Item = Note> + use<'a>> {
        let ticks = BroadcastStream::new(ctx.facade::<GuestbookFacade>()?.0.live.listen());
        // A listener that fell behind is cut off, instead of being told half of it.
        let heard = ticks.take_while(|tick| std::future::ready(tick.is_ok()));
        Ok(heard.flat_map(|tick| stream::iter(tick.iter().flat_map(|notes| notes.to_vec()).collect::<Vec<_>>())))
    }
}

/// What `me` has of a guestbook.
#[derive(Default)]
pub struct GuestbookViewer;

#[Object]
impl GuestbookViewer {
    /// How many notes the token's user wrote.
    async fn note_count(&self, ctx: &Context<'_>) -> Result<i64> {
        let guestbook = ctx.facade::<GuestbookFacade>()?;
        let author = guestbook.0.users.viewer_id(Session::of(ctx)).await?;
        let found = tables::counts::Entity::find_by_id(author).one(guestbook.0.kernel.db.reader()).await?;
        Ok(found.map_or(0, |row| row.note_count))
    }
}
