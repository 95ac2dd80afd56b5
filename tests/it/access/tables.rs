//! THE LISTS of who may do what. A new line is a promise, a line that goes is a decision.

/// What a caller gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gets {
    Answer,
    Code(&'static str),
}

pub(super) const YES: Gets = Gets::Answer;
const WHO: Gets = Gets::Code("UNAUTHENTICATED");
const NO: Gets = Gets::Code("FORBIDDEN");

/// The callers of each line's columns, in order.
pub(super) const COLUMNS: [&str; 6] = ["nobody", "USER", "TEACHER", "SERVICE", "OPERATOR", "ADMIN"];

type Row = [Gets; 6];

const ALL: Row = [YES; 6];
const SIGNED_IN: Row = [WHO, YES, YES, YES, YES, YES];
/// Services, operators, administrators.
pub(super) const STAFF: Row = [WHO, NO, NO, YES, YES, YES];

/// Operators, administrators.
const OPERATORS: Row = [WHO, NO, NO, NO, YES, YES];

/// Teachers, services, operators, administrators.
const TEACHERS: Row = [WHO, NO, YES, YES, YES, YES];

/// Administrators.
const ADMINS: Row = [WHO, NO, NO, NO, NO, YES];

/// Operators and administrators, of a document that asks for nothing there is: those who may are told so.
const ASKED: Row = [WHO, NO, NO, NO, Gets::Code("INVALID_INPUT"), Gets::Code("INVALID_INPUT")];

/// Root, field, a sample document, and what each caller gets. `A`, `V`, `C` and `U` stand for the ids of an artwork, a
/// video, a comment and the author of all three, who is none of the callers; `D` and `W` for those of an artwork and its
/// author that may be deleted.
pub(super) const FIELDS: &[(&str, &str, &str, Row)] = &[
    ("query", "me", "{ me { roles } }", ALL),
    ("query", "node", "{ node(id: \"A\") { id } }", ALL),
    ("query", "user", "{ user(id: \"U\") { id } }", ALL),
    ("query", "artwork", "{ artwork(id: \"A\") { id } }", ALL),
    ("query", "video", "{ video(id: \"V\") { id } }", ALL),
    ("query", "contents", "{ contents(ids: [\"A\", \"V\"]) { id } }", ALL),
    ("query", "artworks", "{ artworks(authorId: \"U\") { nodes { id } } }", ALL),
    ("query", "videos", "{ videos(authorId: \"U\") { nodes { id } } }", ALL),
    ("query", "hotRanking", "{ hotRanking { rank } }", ALL),
    ("query", "hotnessSettings", "{ hotnessSettings { version } }", ALL),
    ("query", "notifications", "{ notifications { totalCount } }", SIGNED_IN),
    // Of another user; one's own is in OWN.
    ("query", "pointAccount", "{ pointAccount(userId: \"U\") { balance } }", TEACHERS),
    ("query", "pointLeaderboard", "{ pointLeaderboard { balance } }", TEACHERS),
    ("query", "pointAccounts", "{ pointAccounts { nodes { balance } } }", TEACHERS),
    ("query", "suspiciousActivity", "{ suspiciousActivity { nodes { actions } } }", OPERATORS),
    ("query", "integrityReport", "{ integrityReport { state } }", OPERATORS),
    ("query", "explain", "{ explain(figure: \"none\", id: \"A\") { totalCount } }", ASKED),
    ("query", "systemHealth", "{ systemHealth { state } }", OPERATORS),
    ("mutation", "repairIntegrity", "mutation { repairIntegrity(dryRun: true) { state } }", OPERATORS),
    ("mutation", "ensureUser", "mutation { ensureUser(subject: \"x\") { id } }", STAFF),
    ("mutation", "publishArtwork", "mutation { publishArtwork(input: { title: \"x\" }) { created } }", SIGNED_IN),
    ("mutation", "publishVideo", "mutation { publishVideo(input: { title: \"x\" }) { created } }", SIGNED_IN),
    ("mutation", "addPoints", ADD_POINTS, TEACHERS),
    ("mutation", "addPointsBatch", ADD_POINTS_BATCH, TEACHERS),
    // Without a reason: those who may are told so.
    (
        "mutation",
        "reversePointTransaction",
        "mutation { reversePointTransaction(id: \"point_transaction_01h455vb4pex5vsknk084sn02q\", reason: \"\",
         idempotencyKey: \"x\") { replayed } }",
        ASKED,
    ),
    ("mutation", "setOverdraftLimit", SET_LIMIT, ADMINS),
    ("mutation", "like", "mutation { like(contentId: \"A\") { changed } }", SIGNED_IN),
    ("mutation", "unlike", "mutation { unlike(contentId: \"A\") { changed } }", SIGNED_IN),
    ("mutation", "favorite", "mutation { favorite(contentId: \"V\") { changed } }", SIGNED_IN),
    ("mutation", "unfavorite", "mutation { unfavorite(contentId: \"V\") { changed } }", SIGNED_IN),
    ("mutation", "comment", "mutation { comment(contentId: \"A\", body: \"x\") { changed } }", SIGNED_IN),
    ("mutation", "share", "mutation { share(contentId: \"A\", channel: LINK) { changed } }", SIGNED_IN),
    ("mutation", "recordViews", "mutation { recordViews(contentIds: [\"A\"]) { counted } }", ALL),
    // Of another author; one's own is in OWN.
    ("mutation", "deleteComment", "mutation { deleteComment(id: \"C\") { changed } }", OPERATORS),
    ("mutation", "unpublishContent", "mutation { unpublishContent(id: \"A\") { changed } }", STAFF),
    ("mutation", "republishContent", "mutation { republishContent(id: \"A\") { changed } }", STAFF),
    ("mutation", "recalculateHotness", "mutation { recalculateHotness(ids: [\"A\", \"V\"]) { total } }", OPERATORS),
    // Of another author, and another user; one's own is in OWN.
    ("mutation", "deleteContent", "mutation { deleteContent(id: \"D\") { changed } }", OPERATORS),
    ("mutation", "deleteUser", "mutation { deleteUser(id: \"W\") { changed } }", STAFF),
    ("subscription", "hotnessChanged", "subscription { hotnessChanged { score } }", ALL),
    ("mutation", "markNotificationsRead", "mutation { markNotificationsRead { marked } }", SIGNED_IN),
    ("subscription", "hotRankingChanged", "subscription { hotRankingChanged { kind } }", ALL),
    ("subscription", "notificationReceived", "subscription { notificationReceived { kind } }", SIGNED_IN),
    // Of another user; one's own is in OWN.
    ("subscription", "pointsChanged", "subscription { pointsChanged(userId: \"U\") { sequence } }", TEACHERS),
];

/// Dry runs: nothing is left of them, whoever comes next.
const ADD_POINTS: &str = "mutation { addPoints(input: { userId: \"U\", amount: 1, reason: \"x\", idempotencyKey: \"x\",
     dryRun: true }) { replayed } }";
const ADD_POINTS_BATCH: &str = "mutation { addPointsBatch(inputs: [{ userId: \"U\", amount: 1, reason: \"x\",
     idempotencyKey: \"x\", dryRun: true }]) { succeeded } }";
const SET_LIMIT: &str =
    "mutation { setOverdraftLimit(userId: \"U\", limit: 0, reason: \"x\", idempotencyKey: \"x\") { replayed } }";

/// Acts on another user's data: field, the argument that names the user (or, with a space in it, what else makes it
/// another's), a sample document, and what each caller gets.
pub(super) const OTHERS: &[(&str, &str, &str, Row)] = &[
    ("like", "userId", "mutation { like(contentId: \"A\", userId: \"U\") { changed } }", STAFF),
    ("unlike", "userId", "mutation { unlike(contentId: \"A\", userId: \"U\") { changed } }", STAFF),
    ("favorite", "userId", "mutation { favorite(contentId: \"A\", userId: \"U\") { changed } }", STAFF),
    ("unfavorite", "userId", "mutation { unfavorite(contentId: \"A\", userId: \"U\") { changed } }", STAFF),
    ("comment", "userId", "mutation { comment(contentId: \"A\", body: \"x\", userId: \"U\") { changed } }", STAFF),
    ("deleteComment", "userId", "mutation { deleteComment(id: \"C\", userId: \"U\") { changed } }", STAFF),
    ("deleteComment", "another author's comment", "mutation { deleteComment(id: \"C\") { changed } }", OPERATORS),
    ("share", "userId", "mutation { share(contentId: \"A\", channel: LINK, userId: \"U\") { changed } }", STAFF),
    ("recordViews", "userId", "mutation { recordViews(contentIds: [\"A\"], userId: \"U\") { counted } }", STAFF),
    (
        "publishArtwork",
        "input.authorId",
        "mutation { publishArtwork(input: { title: \"x\", authorId: \"U\" }) { created } }",
        STAFF,
    ),
    (
        "publishVideo",
        "input.authorId",
        "mutation { publishVideo(input: { title: \"x\", authorId: \"U\" }) { created } }",
        STAFF,
    ),
    // Not a user's data, but everybody's: the order of the ranking.
    (
        "publishArtwork",
        "a baseWeight",
        "mutation { publishArtwork(input: { title: \"x\", baseWeight: 1 }) { created } }",
        STAFF,
    ),
    (
        "publishVideo",
        "a baseWeight",
        "mutation { publishVideo(input: { title: \"x\", baseWeight: 1 }) { created } }",
        STAFF,
    ),
    ("unpublishContent", "another author's content", "mutation { unpublishContent(id: \"V\") { changed } }", STAFF),
    ("republishContent", "another author's content", "mutation { republishContent(id: \"V\") { changed } }", STAFF),
    ("ensureUser", "subject", "mutation { ensureUser(subject: \"author\", name: \"N\") { id } }", STAFF),
    ("deleteContent", "another author's content", "mutation { deleteContent(id: \"D\") { changed } }", OPERATORS),
    ("deleteUser", "id", "mutation { deleteUser(id: \"W\") { changed } }", STAFF),
    ("pointAccount", "userId", "{ pointAccount(userId: \"U\") { balance } }", TEACHERS),
    ("pointsChanged", "userId", "subscription { pointsChanged(userId: \"U\") { sequence } }", TEACHERS),
    ("addPoints", "input.userId", ADD_POINTS, TEACHERS),
    (
        "addPoints",
        "an ADJUSTMENT",
        "mutation { addPoints(input: { userId: \"U\", amount: 1, kind: ADJUSTMENT, reason: \"x\",
         idempotencyKey: \"x\", dryRun: true }) { replayed } }",
        ADMINS,
    ),
    ("addPointsBatch", "inputs.userId", ADD_POINTS_BATCH, TEACHERS),
    (
        "addPointsBatch",
        "an ADJUSTMENT",
        "mutation { addPointsBatch(inputs: [{ userId: \"U\", amount: 1, kind: ADJUSTMENT, reason: \"x\",
         idempotencyKey: \"x\", dryRun: true }]) { succeeded } }",
        ADMINS,
    ),
    ("setOverdraftLimit", "userId", SET_LIMIT, ADMINS),
];

/// Arguments that speak of a user and open nothing: what they lead to is everybody's to read, or the key of one's own.
pub(super) const PUBLIC: &[&str] = &[
    "user.id",
    "artworks.authorId",
    "videos.authorId",
    "publishArtwork.input.clientKey",
    "publishVideo.input.clientKey",
    "comment.clientKey",
    "share.clientKey",
];

/// What a plain user may do to what is theirs, by name. `ME` stands for the user's id, `MINE` for a content of theirs,
/// `SAID` for a comment.
pub(super) const OWN: &[(&str, &str)] = &[
    ("like", "mutation { like(contentId: \"A\", userId: \"ME\") { changed } }"),
    ("unlike", "mutation { unlike(contentId: \"A\", userId: \"ME\") { changed } }"),
    ("favorite", "mutation { favorite(contentId: \"A\", userId: \"ME\") { changed } }"),
    ("unfavorite", "mutation { unfavorite(contentId: \"A\", userId: \"ME\") { changed } }"),
    ("comment", "mutation { comment(contentId: \"A\", body: \"x\", userId: \"ME\") { changed } }"),
    ("deleteComment", "mutation { deleteComment(id: \"SAID\", userId: \"ME\") { changed } }"),
    ("share", "mutation { share(contentId: \"A\", channel: LINK, userId: \"ME\") { changed } }"),
    ("recordViews", "mutation { recordViews(contentIds: [\"A\"], userId: \"ME\") { counted } }"),
    ("publishArtwork", "mutation { publishArtwork(input: { title: \"x\", authorId: \"ME\" }) { created } }"),
    ("publishVideo", "mutation { publishVideo(input: { title: \"x\", authorId: \"ME\" }) { created } }"),
    ("unpublishContent", "mutation { unpublishContent(id: \"MINE\") { changed } }"),
    ("republishContent", "mutation { republishContent(id: \"MINE\") { changed } }"),
    ("deleteContent", "mutation { deleteContent(id: \"MINE\") { changed } }"),
    ("pointAccount", "{ pointAccount(userId: \"ME\") { balance } }"),
    // The last: nothing of theirs is left.
    ("deleteUser", "mutation { deleteUser(id: \"ME\") { changed } }"),
];

/// The fields of `me`, which is null without a token.
pub(super) const VIEWER: &[(&str, &str)] = &[
    ("user", "{ me { user { id } } }"),
    ("roles", "{ me { roles } }"),
    ("unreadNotifications", "{ me { unreadNotifications } }"),
    ("pointAccount", "{ me { pointAccount { balance } } }"),
];

/// The kinds of `node(id:)`.
pub(super) const NODES: &[(&str, &str, Row)] = &[
    ("user", "{ node(id: \"U\") { id } }", ALL),
    ("artwork", "{ node(id: \"A\") { id } }", ALL),
    ("video", "{ node(id: \"V\") { id } }", ALL),
    // One's own only: tests/it/notifications/reading.rs tries another's.
    ("notification", "{ node(id: \"notification_01h455vb4pex5vsknk084sn02q\") { id } }", SIGNED_IN),
    ("comment", "{ node(id: \"C\") { id } }", ALL),
    // One's own only, but for teachers and above: tests/it/points/ledger.rs tries another's.
    ("point_account", "{ node(id: \"point_account_01h455vb4pex5vsknk084sn02q\") { id } }", SIGNED_IN),
    ("point_transaction", "{ node(id: \"point_transaction_01h455vb4pex5vsknk084sn02q\") { id } }", SIGNED_IN),
];

/// What is not GraphQL, and looks at no token: path, what it is, status of a GET.
pub(super) const PATHS: &[(&str, &str, u16)] = &[
    ("/", "the board", 200),
    ("/graphiql", "GraphiQL", 200),
    ("/healthz", "whether the process lives", 200),
    ("/readyz", "whether the database answers", 200),
    // A demo's alone: it hands out tokens.
    ("/demo/session", "tokens of a demo: `tally demo` only", 404),
];
