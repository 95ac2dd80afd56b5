//! The report as one page that needs nothing else: no script, no font, no picture. In English and in Chinese.

use std::fmt::Write as _;

use super::report::{Finding, Points, Report};

/// What a finding is called, in both languages: (English, Chinese).
#[must_use]
pub fn title(name: &str) -> (&'static str, &'static str) {
    match name {
        "like-count" => ("Like counts that their likes do not add up to", "点赞数与点赞记录不符"),
        "favorite-count" => ("Favorite counts that their favorites do not add up to", "收藏数与收藏记录不符"),
        "hot-missing" => ("Hotness that is missing", "热度字段缺失或为空"),
        "hot-stale" => ("Scores that are older than the newest like or favorite", "热度未随最新互动更新"),
        "wrong-type" => ("Values of a wrong type", "值的类型错误"),
        "null-key" => ("Rows without a key", "关键字段为空的记录"),
        "duplicate" => ("The same thing recorded more than once", "重复记录"),
        "no-such-artwork" => ("Rows that point at no artwork", "指向不存在作品的记录"),
        "no-such-video" => ("Rows that point at no video", "指向不存在视频的记录"),
        "no-such-user" => ("Rows that point at no user", "指向不存在用户的记录"),
        "bad-time" => ("Times that are none", "时间无效"),
        "future-time" => ("Times that have not come yet", "时间在将来"),
        "balance" => ("Balances that their transactions do not add up to", "积分余额与流水之和不符"),
        "no-transactions" => ("Balances without a transaction", "有余额而无流水的账户"),
        "negative-balance" => ("Balances below zero", "余额为负"),
        "no-account" => ("Transactions of students without an account", "没有账户的学生的流水"),
        "zero-amount" => ("Transactions of no points", "变动为零的流水"),
        "out-of-range" => ("Numbers beyond 64 bits", "超出 64 位整数范围"),
        "unknown-type" => ("Transaction types that nobody knows", "未知的流水类型"),
        "wrong-sign" => ("Transactions whose sign contradicts their type", "正负号与类型矛盾的流水"),
        "no-reason" => ("Transactions without a reason", "没有原因的流水"),
        "repeated-id" => ("Ids that more than one row has", "重复的编号"),
        _ => ("Other findings", "其他问题"),
    }
}

/// Text as HTML.
fn plain(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn both(english: &str, chinese: &str) -> String {
    format!("<span lang=en>{english}</span><span lang=zh>{chinese}</span>")
}

/// Digits in groups of three.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A rate in percent, rounded down: what does not tally never looks as if it did.
#[must_use]
pub fn percent(rate: f64) -> String {
    format!("{:.2} %", libm::floor(rate * 10_000.0) / 100.0)
}

/// The page.
#[must_use]
pub fn page(report: &Report) -> String {
    let mut page = String::with_capacity(16 * 1024);
    // Writing to a String cannot fail.
    let _ = write!(
        page,
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
         <title>tally audit</title><style>{}</style><body>\
         <div class=langs><label><input type=radio name=lang id=en checked> English</label>\
         <label><input type=radio name=lang id=zh> 中文</label></div>\
         <h1>{}</h1><p class=soft><code>{}</code> · {}</p>",
        include_str!("page.css"),
        both("Do the numbers tally?", "数据对得上吗？"),
        plain(&report.source),
        plain(&report.audited_at),
    );
    verdict(&mut page, report);
    tables(&mut page, report);
    overview(&mut page, report);
    points(&mut page, report);
    for finding in report.findings.iter().filter(|finding| finding.found > 0) {
        examples(&mut page, finding);
    }
    if !report.absent.is_empty() {
        let absent: Vec<_> = report.absent.iter().map(|name| format!("<code>{}</code>", plain(name))).collect();
        let heading = both("Not there, and left out", "不存在，未审计");
        let _ = write!(page, "<h2>{heading}</h2><p>{}</p>", absent.join(", "));
    }
    let note = both(
        "Read in one snapshot; nothing was written. <code>tally import</code> takes these tables over.",
        "在同一快照中只读审计，未写入任何数据。使用 <code>tally import</code> 可迁移这些表。",
    );
    let _ = write!(page, "<h2></h2><p class=soft>{note}</p></body></html>");
    page
}

fn verdict(page: &mut String, report: &Report) {
    let found: u64 = report.findings.iter().map(|finding| finding.found).sum();
    let rows: u64 = report.tables.iter().map(|table| table.rows).sum();
    let (class, word) = match (&report.failure, report.tallies()) {
        (Some(_), _) => ("bad", both("Incomplete", "审计未完成")),
        (None, true) => ("good", both("Everything tallies", "全部一致")),
        (None, false) => ("bad", both("Drift found", "发现不一致")),
    };
    let cells = [
        (format!("<span class={class}>{word}</span>"), both("state", "结论")),
        (percent(report.consistency_rate), both("consistency", "一致率")),
        (grouped(found), both("things that do not tally", "不一致项")),
        (grouped(rows), both("rows read", "审计行数")),
    ];
    page.push_str("<div class=verdict>");
    for (value, name) in cells {
        let _ = write!(page, "<div><p class=big>{value}</p><p class=soft>{name}</p></div>");
    }
    page.push_str("</div>");
    if let Some(failure) = &report.failure {
        let told = both("What was not looked at is not listed", "未审计的内容不在列表中");
        let _ = write!(page, "<p class=bad>{told}: {}</p>", plain(failure));
    }
}

fn tables(page: &mut String, report: &Report) {
    let _ = write!(
        page,
        "<h2>{}</h2><div class=wide><table><tr><th>{}<th>{}<th class=n>{}",
        both("Tables", "数据表"),
        both("what it is", "用途"),
        both("name", "表名"),
        both("rows", "行数"),
    );
    for table in &report.tables {
        let (what, name) = (plain(table.table), plain(&table.name));
        let _ = write!(page, "<tr><td>{what}<td><code>{name}</code><td class=n>{}", grouped(table.rows));
    }
    page.push_str("</table></div>");
}

fn overview(page: &mut String, report: &Report) {
    let _ = write!(
        page,
        "<h2>{}</h2><div class=wide><table><tr><th>{}<th>{}<th class=n>{}<th class=n>{}",
        both("What was looked at", "审计项"),
        both("finding", "项目"),
        both("table", "数据表"),
        both("looked at", "检查数"),
        both("wrong", "错误数"),
    );
    for finding in &report.findings {
        let (english, chinese) = title(finding.name);
        let class = if finding.found > 0 { "n bad" } else { "n good" };
        let _ = write!(
            page,
            "<tr><td>{}<td><code>{}</code><td class=n>{}<td class=\"{class}\">{}",
            both(english, chinese),
            plain(finding.table),
            grouped(finding.checked),
            grouped(finding.found),
        );
    }
    page.push_str("</table></div>");
}

/// How far balances are off, as a line.
#[must_use]
pub fn points_words(points: &Points) -> (String, String) {
    let Points { students, drifting, too_many, too_few, most, .. } = points;
    let whose = points.most_of.as_deref().unwrap_or("-");
    (
        format!(
            "balances of points: {drifting} of {students} do not add up, together {too_many} too many and {too_few} too few; \
             the most {most} ({whose})"
        ),
        format!(
            "积分余额：{students} 个账户中 {drifting} 个不符，合计多 {too_many}、少 {too_few}；最大差额 {most}（{whose}）"
        ),
    )
}

fn points(page: &mut String, report: &Report) {
    if let Some(points) = report.points.as_ref().filter(|points| points.drifting > 0) {
        let (english, chinese) = points_words(points);
        let _ = write!(page, "<p class=bad>{}</p>", both(&plain(&english), &plain(&chinese)));
    }
}

fn examples(page: &mut String, finding: &Finding) {
    let (english, chinese) = title(finding.name);
    let shown = finding.examples.len() as u64;
    let more = match finding.found > shown {
        true => both(&format!(" — the first {shown}"), &format!("（前 {shown} 条）")),
        false => String::new(),
    };
    let _ = write!(
        page,
        "<details open><summary>{}: {} · <code>{}</code>{more}</summary>\
         <div class=wide><table><tr><th>{}<th>{}<th>{}",
        both(english, chinese),
        grouped(finding.found),
        plain(finding.table),
        both("which", "对象"),
        both("stored", "存储值"),
        both("should be", "应为"),
    );
    for example in &finding.examples {
        let (id, stored, actual) = (plain(&example.id), plain(&example.stored), plain(&example.actual));
        let _ = write!(page, "<tr><td><code>{id}</code><td>{stored}<td>{actual}");
    }
    page.push_str("</table></div></details>");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_rounded_down_and_numbers_grouped() {
        assert_eq!((percent(1.0), percent(0.999_999)), ("100.00 %".to_owned(), "99.99 %".to_owned()));
        assert_eq!((grouped(0), grouped(999), grouped(1_234_567)), ("0".into(), "999".into(), "1,234,567".into()));
        assert_eq!(plain("<b>&\"</b>"), "&lt;b&gt;&amp;&quot;&lt;/b&gt;");
    }
}
