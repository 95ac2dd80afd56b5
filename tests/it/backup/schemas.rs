//! PostgreSQL: a database that tally shares, with other programs or with another tally, by schema.

use std::path::Path;

use serde_json::Value;

use super::{back_up, furnished, likes, manifest_of, number, on};
use crate::harness::{Backend, TestDatabase, on_every_backend};

/// The same database, and in it another schema.
fn in_schema(database: &TestDatabase, schema: &str) -> TestDatabase {
    let mut other = database.shared();
    other.url = format!("{}?options=-c%20search_path%3D{schema}", database.url);
    other
}

async fn restored(database: &TestDatabase, folder: &Path, arguments: &[&str]) -> String {
    let (status, output, errors) = on(database, folder, arguments).await;
    assert_eq!((status, &*errors), (0, ""), "{output}");
    assert!(output.ends_with("every number tallies\n"), "{output}");
    output
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_goes_into_the_schema_that_the_url_means() {
    let (database, count) = furnished(Backend::Postgres).await;
    let folder = tempfile::tempdir().unwrap();
    let file = back_up(&database, folder.path()).await;
    let manifest: Value = serde_json::from_slice(&std::fs::read(manifest_of(&file)).unwrap()).unwrap();
    assert_eq!((&manifest["schema"], &manifest["tables"]["contents"]), (&"public".into(), &1.into()));
    let file = file.to_str().unwrap();

    // Beside the tables of that name, which stay.
    let tenant = in_schema(&database, "tenant");
    let (status, _, errors) = on(&tenant, folder.path(), &["restore", file]).await;
    assert!(status == 2 && errors.contains("no schema of the connection's search_path is there"), "{errors}");
    database.sql("CREATE SCHEMA tenant").await;
    database.sql("CREATE TABLE tenant.orders (id int)").await;
    restored(&tenant, folder.path(), &["restore", file]).await;
    assert_eq!(number(&database, "SELECT count(*) FROM tenant.behaviors").await, count);
    assert_eq!((likes(&tenant).await, likes(&database).await), (count, count));
    let behaviors = async |schema: &str| number(&database, &format!("SELECT count(*) FROM {schema}.behaviors")).await;
    database.sql("TRUNCATE public.behaviors").await;
    assert_eq!((behaviors("tenant").await, behaviors("public").await), (count, 0), "they are two");

    // Where the archive's schema is there and has room, and where it is not there.
    for (name, schema) in [("there", "public"), ("made", "tenant")] {
        let from = if name == "there" {
            file.to_owned()
        } else {
            let (status, output, errors) = on(&tenant, folder.path(), &["backup"]).await;
            assert_eq!(status, 0, "{errors}");
            output.trim().to_owned()
        };
        let elsewhere = TestDatabase::create(Backend::Postgres).await;
        elsewhere.sql("CREATE SCHEMA other").await;
        let other = in_schema(&elsewhere, "other");
        restored(&other, folder.path(), &["restore", &from]).await;
        assert_eq!(number(&elsewhere, "SELECT count(*) FROM other.behaviors").await, count, "{name}");
        let again = restored(&other, folder.path(), &["restore", "--replace", &from]).await;
        assert!(again.contains("kept in schema tally_replaced_"), "{again}");
        let left = format!("SELECT count(*) FROM pg_class WHERE relnamespace = to_regnamespace('{schema}')");
        assert_eq!(number(&elsewhere, &left).await, 0, "nothing is left in the archive's schema");
        assert_eq!(likes(&other).await, count);
        elsewhere.remove().await;
    }
    database.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_have_in_the_schema_stays_where_it_is() {
    let (database, count) = furnished(Backend::Postgres).await;
    let folder = tempfile::tempdir().unwrap();
    database.sql("CREATE TABLE orders (id int); INSERT INTO orders VALUES (1)").await;
    let file = back_up(&database, folder.path()).await;
    let file = file.to_str().unwrap();
    database.sql("INSERT INTO orders VALUES (2)").await;
    // A table of a later version, whose migration this one does not have.
    database.sql("CREATE TABLE later (id int); COMMENT ON TABLE later IS 'tally'").await;
    let output = restored(&database, folder.path(), &["restore", "--replace", file]).await;
    assert_eq!(number(&database, "SELECT count(*) FROM orders").await, 2, "it is none of tally's");
    assert_eq!(
        number(&database, "SELECT (to_regclass('later') IS NULL)::int::bigint").await,
        1,
        "it would be in the way"
    );
    let kept = output.split("kept in schema ").nth(1).unwrap().lines().next().unwrap();
    let tables =
        format!("SELECT count(*) FROM pg_tables WHERE schemaname = '{kept}' AND tablename IN ('orders', 'later')");
    assert_eq!(number(&database, &tables).await, 1);
    assert_eq!(likes(&database).await, count);

    // A table of that name is another program's where tally never was.
    let elsewhere = TestDatabase::create(Backend::Postgres).await;
    elsewhere.sql("CREATE TABLE users (name text); INSERT INTO users VALUES ('ann')").await;
    for arguments in [&["restore", file][..], &["restore", "--replace", file]] {
        let (status, output, errors) = on(&elsewhere, folder.path(), arguments).await;
        assert_eq!((status, &*output), (2, ""));
        assert!(errors.contains("has users of another program, where tally's would be"), "{errors}");
    }
    assert_eq!(number(&elsewhere, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").await, 1);
    elsewhere.remove().await;
    database.remove().await;
}

async fn a_table_of_migrations_of_another_program_is_in_nobodys_way(backend: Backend) {
    let (database, count) = furnished(backend).await;
    let folder = tempfile::tempdir().unwrap();
    database.sql("CREATE TABLE migrations_log (line text)").await;
    database.sql("CREATE TABLE migrations_of_others (version int)").await;
    database.sql("CREATE TABLE migrations_more (version text, applied_at bigint, by_whom text)").await;
    database.sql("INSERT INTO migrations_more VALUES ('one', 1, 'ann')").await;
    let file = back_up(&database, folder.path()).await;
    let manifest: Value = serde_json::from_slice(&std::fs::read(manifest_of(&file)).unwrap()).unwrap();
    let modules = manifest["migrations"].as_object().unwrap();
    assert!(modules.contains_key("kernel") && modules.contains_key("users"), "{modules:?}");
    assert!(!["log", "of_others", "more"].iter().any(|name| modules.contains_key(*name)), "{modules:?}");
    database.sql("INSERT INTO migrations_log VALUES ('after the backup')").await;
    restored(&database, folder.path(), &["restore", "--replace", file.to_str().unwrap()]).await;
    assert_eq!(likes(&database).await, count);
    let lines = number(&database, "SELECT count(*) FROM migrations_log").await;
    // A SQLite file is put back as a whole.
    assert_eq!(lines, i64::from(backend == Backend::Postgres));
    assert_eq!(number(&database, "SELECT count(*) FROM migrations_more").await, 1);
    database.remove().await;
}

on_every_backend!(
    a_table_of_migrations_of_another_program_is_in_nobodys_way,
    a_manifest_of_the_first_version_still_goes_back
);

async fn a_manifest_of_the_first_version_still_goes_back(backend: Backend) {
    let (database, count) = furnished(backend).await;
    let folder = tempfile::tempdir().unwrap();
    let file = back_up(&database, folder.path()).await;
    let mut manifest: Value = serde_json::from_slice(&std::fs::read(manifest_of(&file)).unwrap()).unwrap();
    let fields = manifest.as_object_mut().unwrap();
    fields.remove("schema");
    fields.remove("tables").unwrap();
    std::fs::write(manifest_of(&file), manifest.to_string()).unwrap();
    restored(&database, folder.path(), &["restore", "--replace", file.to_str().unwrap()]).await;
    assert_eq!(likes(&database).await, count);
    database.remove().await;
}
