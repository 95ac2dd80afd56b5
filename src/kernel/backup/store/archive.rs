//! What `pg_restore` makes of an archive, on its way to `psql`.

use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};

/// Settings that pg_restore begins with, and the first server that knows them.
const SETTINGS: [(&[u8], u32); 1] = [(b"SET transaction_timeout = 0;", 17)];

/// Hands an archive's statements on, without the settings among the first that the server does not know: psql would stop
/// at them. From the first statement that is no setting on, nothing is looked at: a line may be somebody's data.
pub(in super::super) async fn pass_on(
    server: u32,
    from: impl AsyncRead + Unpin,
    to: &mut (impl AsyncWrite + Unpin),
) -> std::io::Result<()> {
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    loop {
        line.clear();
        if from.read_until(b'\n', &mut line).await? == 0 {
            return Ok(());
        }
        let text = line.trim_ascii();
        if !SETTINGS.iter().any(|(setting, since)| *setting == text && server < *since) {
            to.write_all(&line).await?;
        }
        // `\restrict` comes first of all since the releases of August 2025.
        let begins = [&b"--"[..], b"SET ", b"SELECT pg_catalog.set_config(", b"\\"];
        if !text.is_empty() && !begins.iter().any(|begin| text.starts_with(begin)) {
            tokio::io::copy_buf(&mut from, to).await?;
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::pass_on;

    const ARCHIVE: &str = "\\restrict abc\n--\n-- PostgreSQL database dump\n--\n\nSET lock_timeout = 0;\n\
        SET transaction_timeout = 0;\nSELECT pg_catalog.set_config('search_path', '', false);\n\n\
        CREATE TABLE public.notes (\n    body text\n);\n\nCOPY public.notes (body) FROM stdin;\n\
        SET transaction_timeout = 0;\n\\.\n\nSET transaction_timeout = 0;\n\\unrestrict abc\n";

    async fn passed_on(server: u32, archive: &[u8]) -> String {
        let mut to = Vec::new();
        pass_on(server, archive, &mut to).await.unwrap();
        String::from_utf8(to).unwrap()
    }

    #[tokio::test]
    async fn of_the_first_settings_alone_go_those_that_the_server_does_not_know() {
        let without = ARCHIVE.replacen("SET transaction_timeout = 0;\n", "", 1);
        assert_eq!(without.len() + 29, ARCHIVE.len());
        assert_eq!(passed_on(16, ARCHIVE.as_bytes()).await, without);
        assert_eq!(passed_on(17, ARCHIVE.as_bytes()).await, ARCHIVE);
        let other = ARCHIVE.replace("timeout = 0", "timeout = 1");
        assert_eq!(passed_on(9, other.as_bytes()).await, other);
        // Of a program that was ended early.
        assert_eq!(passed_on(16, b"").await, "");
        assert_eq!(passed_on(16, b"SET lock_timeout = 0;\nCREATE TAB").await, "SET lock_timeout = 0;\nCREATE TAB");
    }
}
