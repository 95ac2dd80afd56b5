//! Where the URL comes from and where its password does not go, who can look at a dry run, and what is left of a run that
//! fails on its way.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use super::import::came;
use super::{From, Theirs, execute, server};
use crate::harness::{Backend, TestDatabase, command, run};

#[tokio::test]
async fn the_url_may_come_from_elsewhere_and_its_password_goes_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    for from in [From::Postgres, From::MariaDb] {
        let theirs = Theirs::broken(from).await;
        let user = format!("u{:012x}", rand::random::<u64>() & 0xffff_ffff_ffff);
        let make = match from {
            From::Postgres => {
                format!("CREATE ROLE {user} LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO {user}")
            }
            _ => format!(
                "CREATE USER {user}@'%' IDENTIFIED BY 's3cret'; GRANT SELECT ON {}.* TO {user}@'%'",
                theirs.name
            ),
        };
        execute(&theirs.url, &make).await;
        let url = as_user(from, &theirs, &user);
        let file = folder.path().join("url");
        std::fs::write(&file, format!("{url}\n")).unwrap();
        let place = folder.path();
        let told = [
            run(&["audit", "--from-file", file.to_str().unwrap()], &[], place).await,
            run(&["audit", "--json"], &[("TALLY_FROM", &url)], place).await,
            run(&["import", "--dry-run"], &[("TALLY_FROM", &url), ("TALLY_LOG", "debug")], place).await,
            run(&["audit", "--from", &url], &[("TALLY_FROM", "nonsense")], place).await,
        ];
        for (n, (status, output, errors)) in told.into_iter().enumerate() {
            assert_eq!(status, if n == 2 { 0 } else { 1 }, "{from:?} {output}{errors}");
            assert!(output.contains("artworks_like"), "{output}");
            assert!(!format!("{output}{errors}").contains("s3cret"), "{from:?} {n}: {output}{errors}");
        }
        let drop = if from == From::Postgres { "DROP OWNED BY {u}; DROP ROLE {u}" } else { "DROP USER {u}" };
        execute(&theirs.url, &drop.replace("{u}", &user)).await;
        theirs.remove().await;
    }
    for (arguments, due) in [
        (&["audit"][..], "--from URL, --from-file FILE, or the variable TALLY_FROM"),
        (&["audit", "--from-file", "no/such/file"], "no/such/file cannot be read"),
        (&["import", "--from", "sqlite:x", "--from-file", "y"], "cannot be used with"),
    ] {
        let (status, output, errors) = run(arguments, &[], folder.path()).await;
        assert_eq!((status, &*output), (2, ""), "{arguments:?}");
        assert!(errors.contains(due), "{arguments:?}: {errors}");
    }
}

fn as_user(from: From, theirs: &Theirs, user: &str) -> String {
    let server = server(from);
    let (scheme, rest) = server.split_once("://").unwrap();
    format!("{scheme}://{user}:s3cret@{}/{}", rest.rsplit('@').next().unwrap(), theirs.name)
}

#[tokio::test]
async fn what_was_found_before_a_failure_is_shown_and_called_incomplete() {
    let folder = tempfile::tempdir().unwrap();
    for from in [From::Postgres, From::MariaDb] {
        let theirs = Theirs::broken(from).await;
        let user = format!("u{:012x}", rand::random::<u64>() & 0xffff_ffff_ffff);
        let (make, on, to) = match from {
            From::Postgres => (format!("CREATE ROLE {user} LOGIN"), String::new(), user.clone()),
            _ => (
                format!("CREATE USER {user}@'%' IDENTIFIED BY 's3cret'"),
                format!("{}.", theirs.name),
                format!("{user}@'%'"),
            ),
        };
        let mut grants = vec![make];
        for table in ["artworks", "artworks_like", "artworks_favorite"] {
            grants.push(format!("GRANT SELECT ON {on}{table} TO {to}"));
        }
        // It is there, and may not be read.
        if from == From::MariaDb {
            grants.push(format!("GRANT INSERT ON {on}user_behaviors TO {to}"));
        }
        execute(&theirs.url, &grants.join(";")).await;
        let url = as_user(from, &theirs, &user);
        if from == From::MariaDb {
            // There, nobody is told whether a table is not there or not theirs to read.
            let (status, _, errors) = run(&["audit", "--from", &url], &[], folder.path()).await;
            assert!(status == 2 && errors.contains("no permission to read users, or no such table"), "{errors}");
        }
        let map = folder.path().join("map.toml");
        let others = "leave_out = [\"users\", \"videos\", \"student_points\", \"point_transactions\"]";
        std::fs::write(&map, others).unwrap();
        let map = map.to_str().unwrap();
        let page = folder.path().join("audit.html");
        let (status, output, errors) = run(
            &["audit", "--json", "--from", &url, "--map", map, "--html", page.to_str().unwrap()],
            &[],
            folder.path(),
        )
        .await;
        assert_eq!(status, 2, "{from:?} {output}{errors}");
        assert!(errors.contains("no permission"), "{from:?} {errors}");
        let report: Value = serde_json::from_str(&output).unwrap();
        assert_eq!(report["state"], "INCOMPLETE");
        assert!(report["failure"].as_str().unwrap().contains("no permission"), "{report:#}");
        assert_eq!(super::audit::finding(&report, "artworks", "like-count")["found"], 2, "{from:?}");
        assert_eq!(report["tables"].as_array().unwrap().len(), 3);
        let page = std::fs::read_to_string(page).unwrap();
        assert!(page.contains("Incomplete") && page.contains("审计未完成"), "{page}");
        let (status, output, _) = run(&["audit", "--from", &url, "--map", map], &[], folder.path()).await;
        assert!(status == 2 && output.contains("incomplete: ") && output.contains("id 2: stored 5"), "{output}");

        let database = crate::harness::TestApp::start(Backend::Sqlite).await.stop().await;
        let environment = [("DATABASE_URL", &*database.url)];
        let arguments = ["import", "--json", "--no-backup", "--from", &url, "--map", map];
        let (status, output, errors) = run(&arguments, &environment, folder.path()).await;
        assert_eq!(status, 2, "{from:?} {output}{errors}");
        let report: Value = serde_json::from_str(&output).unwrap();
        assert!(report["failure"].as_str().unwrap().contains("no permission"), "{report:#}");
        assert_eq!(came(&report, "artworks_like"), [8, 4, 0, 1, 3], "{from:?}");
        finish(database).await;
        let drop = if from == From::Postgres { "DROP OWNED BY {u}; DROP ROLE {u}" } else { "DROP USER {u}" };
        execute(&theirs.url, &drop.replace("{u}", &user)).await;
        theirs.remove().await;
    }
}

async fn finish(database: TestDatabase) {
    assert_eq!(super::import::checked(&database).await.0, 0);
    database.remove().await;
}

#[tokio::test]
async fn nobody_else_looks_into_a_dry_run() {
    let (theirs, _) = super::import::many().await;
    let place = tempfile::tempdir().unwrap();
    let mut child = command();
    child.args(["import", "--dry-run", "--from", &theirs.url]).env("TMPDIR", place.path());
    let mut child = child.stdout(std::process::Stdio::null()).spawn().unwrap();
    let mut seen = None;
    while child.try_wait().unwrap().is_none() {
        if let Some(folder) = std::fs::read_dir(place.path()).unwrap().next() {
            seen = folder.ok().and_then(|folder| folder.metadata().ok()).map(|held| held.permissions().mode()).or(seen);
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert_eq!(seen.map(|mode| mode & 0o777), Some(0o700));
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0, "it goes");
    theirs.remove().await;
}
