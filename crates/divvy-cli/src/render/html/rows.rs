//! The table of a report on a page: its first rows as markup, the others as data that a script shows
//! on demand.

use divvy::reports::{Column, Dim, Role, Table, Value, ValueKind, grouped};

use super::super::{ROWS, people};
use super::escape;

/// A table with no more rows is shown whole.
const MOST_UNFOLDED: usize = 30;

/// A table of more columns has smaller letters on paper.
const MOST_ON_PAPER: usize = 9;

/// What of a table is on a page.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    /// Columns of this [`Column::spare`] or more are left out: ids, coordinates.
    pub(super) spare: u8,
    /// The largest size of the folded rows in bytes.
    pub(super) bytes: usize,
}

impl Limits {
    /// A page of one report.
    pub(super) const ALONE: Self = Self {
        spare: u8::MAX,
        bytes: 1_400_000,
    };
    /// A report on a page of several, whose folded rows have a share of the page.
    pub(super) const fn of_many(bytes: usize) -> Self {
        Self { spare: 3, bytes }
    }
}

/// Returns the share of each table of a number of bytes: what it needs, if that is no more than what an equal
/// part leaves.
pub(super) fn shares(needs: &[usize], total: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..needs.len()).collect();
    order.sort_by_key(|at| needs[*at]);
    let mut shares = vec![0; needs.len()];
    let mut left = total;
    for (place, at) in order.iter().enumerate() {
        let part = left / (needs.len() - place);
        shares[*at] = needs[*at].min(part);
        left -= shares[*at];
    }
    shares
}

/// Returns the size of all rows of a table that are folded on a page of several reports.
pub(super) fn folded_bytes(table: &Table) -> usize {
    let (columns, shown) = (shown_columns(table, Limits::of_many(0)), first_rows(table));
    let rows = folded(table, &columns, shown, usize::MAX);
    rows.iter().map(|row| row.len() + SEPARATOR).sum()
}

/// The size of what stands between two folded rows.
const SEPARATOR: usize = 2;

/// Returns the indices of the columns on a page: empty ones are left out.
fn shown_columns(table: &Table, limits: Limits) -> Vec<usize> {
    (0..table.columns.len())
        .filter(|at| table.columns[*at].spare < limits.spare)
        .filter(|at| table.columns[*at].kind != ValueKind::Distribution)
        .filter(|at| table.rows.iter().any(|row| row[*at] != Value::Empty))
        .collect()
}

/// Returns how many rows are not folded.
fn first_rows(table: &Table) -> usize {
    match table.rows.len() {
        rows if rows > MOST_UNFOLDED => ROWS,
        rows => rows,
    }
}

/// Writes the table of a report, of which `command` prints all rows. Nothing for one without rows.
pub(super) fn write(page: &mut String, command: &str, table: &Table, limits: Limits) {
    let columns = shown_columns(table, limits);
    if table.rows.is_empty() || columns.is_empty() {
        return;
    }
    let shown = first_rows(table);
    let class = if columns.len() > MOST_ON_PAPER {
        "rows many"
    } else {
        "rows"
    };
    *page += &format!("<div class=\"{class}\">\n");
    *page += "<div class=\"wide\" tabindex=\"0\" role=\"group\" \
              aria-label=\"table\"><table>\n<thead><tr>";
    for at in &columns {
        *page += &head(&table.columns[*at]);
    }
    *page += "</tr></thead>\n<tbody>\n";
    for row in &table.rows[..shown] {
        *page += "<tr>";
        for at in &columns {
            let column = &table.columns[*at];
            let class = if column.kind.is_numeric() {
                " class=\"n\""
            } else {
                ""
            };
            *page += &format!("<td{class}>{}</td>", escape(&people::cell(table, row, *at)));
        }
        *page += "</tr>\n";
    }
    *page += "</tbody></table></div>\n";
    let folded = folded(table, &columns, shown, limits.bytes);
    write_rest(page, command, table, shown, &folded);
    *page += "</div>\n";
}

/// Writes the heading of a column, with what a script needs to sort it.
fn head(column: &Column) -> String {
    let class = if column.kind.is_numeric() {
        " class=\"n\""
    } else {
        ""
    };
    let order = match column.role {
        Role::Group(Dim::Weekday) => " data-order=\"week\"",
        _ if column.kind.is_numeric() => " data-order=\"number\"",
        _ => "",
    };
    let heading = escape(&column.heading());
    format!("<th scope=\"col\"{class}{order}>{heading}</th>")
}

/// Returns the rows behind the first ones as JSON texts, as many as fit.
fn folded(table: &Table, columns: &[usize], shown: usize, bytes: usize) -> Vec<String> {
    let mut left = bytes;
    let rows = table.rows[shown..].iter().map(|row| {
        let cells = columns.iter().map(|at| people::cell(table, row, *at));
        serde_json::Value::from(cells.collect::<Vec<String>>()).to_string()
    });
    // A script's text ends at the first "</", whatever it belongs to.
    let rows = rows.map(|row| row.replace('<', "\\u003c"));
    let rows = rows.map_while(|row| {
        left = left.checked_sub(row.len() + SEPARATOR)?;
        Some(row)
    });
    rows.collect()
}

/// Writes how many rows are shown, and those that are folded.
fn write_rest(page: &mut String, command: &str, table: &Table, shown: usize, folded: &[String]) {
    let all = table.rows.len() + table.more;
    if shown == all {
        return;
    }
    let number = |n: usize| grouped(n as i64);
    let held = shown + folded.len();
    *page += &format!(
        "<p class=\"more\"><span class=\"count\">{} of {} rows</span>",
        number(shown),
        number(all)
    );
    if !folded.is_empty() {
        let held = if held == all {
            "all".into()
        } else {
            number(held)
        };
        *page += &format!(
            " <button type=\"button\" class=\"fold\" aria-expanded=\"false\" hidden>Show {held} \
             rows</button>"
        );
    }
    if held < all {
        *page += &format!(
            " <span>This page holds and sorts the first {}; all: <code>{}</code></span>",
            number(held),
            escape(command)
        );
    }
    *page += "</p>\n";
    if !folded.is_empty() {
        let rows = folded.join(",\n");
        *page += &format!("<script type=\"application/json\">[{rows}]</script>\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use divvy::reports::ValueKind;

    #[test]
    fn small_tables_are_whole_and_large_ones_share_the_rest() {
        assert_eq!(shares(&[10, 500, 300, 0], 1_000), [10, 500, 300, 0]);
        assert_eq!(shares(&[10, 5_000, 300, 9_000], 1_000), [10, 345, 300, 345]);
        assert!(shares(&[], 10).is_empty());
        let table = table(100);
        let page = written(&table, Limits::of_many(folded_bytes(&table)));
        assert!(page.contains("Show all rows"), "{page}");
    }

    fn table(rows: usize) -> Table {
        let columns = vec![
            Column::new("name", ValueKind::Name),
            Column::new("trips", ValueKind::Count),
            Column::new("empty", ValueKind::Count),
        ];
        let row = |at: usize| {
            vec![
                format!("St {at} </script>").as_str().into(),
                1_234_i64.into(),
                Value::Empty,
            ]
        };
        Table::of(columns, (0..rows).map(row).collect(), Vec::new())
    }

    fn written(table: &Table, limits: Limits) -> String {
        let mut page = String::new();
        write(
            &mut page,
            "divvy report stations --format csv",
            table,
            limits,
        );
        page
    }

    #[test]
    fn a_short_table_is_whole_and_its_headings_can_be_sorted() {
        insta::assert_snapshot!(written(&table(1), Limits::ALONE), @r#"
        <div class="rows">
        <div class="wide" tabindex="0" role="group" aria-label="table"><table>
        <thead><tr><th scope="col">name</th><th scope="col" class="n" data-order="number">trips</th></tr></thead>
        <tbody>
        <tr><td>St 0 &lt;/script&gt;</td><td class="n">1,234</td></tr>
        </tbody></table></div>
        </div>
        "#);
    }

    #[test]
    fn rows_beyond_twenty_are_folded_and_none_is_lost_without_a_word() {
        let page = written(&table(1_811), Limits::ALONE);
        assert_eq!(page.matches("<tr><td>").count(), ROWS);
        assert!(
            page.contains("20 of 1,811 rows") && page.contains("Show all rows"),
            "{page}"
        );
        assert_eq!(
            page.matches("</script>").count(),
            1,
            "names cannot end the script"
        );
        let data = page
            .split("json\">")
            .nth(1)
            .unwrap()
            .split("</script>")
            .next()
            .unwrap();
        let rows: Vec<Vec<String>> = serde_json::from_str(data).unwrap();
        assert_eq!(rows.len(), 1_811 - ROWS);
        assert_eq!(rows[0], ["St 20 </script>", "1,234"]);

        let small = Limits {
            spare: 3,
            bytes: 1_000,
        };
        let page = written(&table(1_811), small);
        assert!(page.len() < 4_000, "{}", page.len());
        assert!(
            page.contains("all: <code>divvy report stations --format csv</code>"),
            "{page}"
        );
    }
}
