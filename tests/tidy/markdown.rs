//! Just enough of Markdown: tables under a heading, code spans, fenced blocks, links.

/// A row of a table.
pub(super) struct Row<'a> {
    /// From 1.
    pub(super) line: usize,
    cells: Vec<&'a str>,
}

impl<'a> Row<'a> {
    /// The cell, empty if there is none.
    pub(super) fn cell(&self, index: usize) -> &'a str {
        self.cells.get(index).copied().unwrap_or_default()
    }
}

/// The rows below the heading, up to the next heading; the tables' own heads are left out.
pub(super) fn rows_after<'a>(text: &'a str, heading: &str) -> Vec<Row<'a>> {
    let lines: Vec<&str> = text.lines().collect();
    let is_heading = |line: &&str| line.starts_with('#');
    let start = lines
        .iter()
        .position(|line| is_heading(line) && line.trim_start_matches('#').trim() == heading);
    let Some(start) = start else {
        return Vec::new();
    };
    let mut rows = Vec::new();
    for (index, line) in lines.iter().enumerate().skip(start + 1) {
        if is_heading(line) {
            break;
        }
        let ruled = |at: usize| lines.get(at).is_some_and(|line| line.starts_with("|--"));
        if line.starts_with('|') && !ruled(index) && !ruled(index + 1) {
            let cells = line
                .trim()
                .trim_matches('|')
                .split('|')
                .map(str::trim)
                .collect();
            rows.push(Row {
                line: index + 1,
                cells,
            });
        }
    }
    rows
}

/// A cell without its backticks.
pub(super) fn bare(cell: &str) -> &str {
    cell.trim_matches('`')
}

/// Code spans outside of fenced blocks, with their lines.
pub(super) fn spans(text: &str) -> Vec<(usize, &str)> {
    let mut spans = Vec::new();
    for (line, text) in outside_fences(text) {
        spans.extend(text.split('`').skip(1).step_by(2).map(|span| (line, span)));
    }
    spans
}

/// Where links lead, with their lines.
pub(super) fn links(text: &str) -> Vec<(usize, &str)> {
    let mut links = Vec::new();
    for (line, text) in outside_fences(text) {
        let targets = text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split_once(')'));
        links.extend(targets.map(|(target, _)| (line, target)));
    }
    links
}

fn outside_fences(text: &str) -> Vec<(usize, &str)> {
    let mut inside = false;
    let mut lines = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.starts_with("```") {
            inside = !inside;
        } else if !inside {
            lines.push((index + 1, line));
        }
    }
    lines
}

/// Fenced blocks of a language: the first line's number, and the lines.
pub(super) fn fences<'a>(text: &'a str, language: &str) -> Vec<(usize, Vec<&'a str>)> {
    let mut fences = Vec::new();
    let mut block: Option<(usize, Vec<&str>)> = None;
    let mut foreign = false;
    for (index, line) in text.lines().enumerate() {
        let Some(mark) = line.strip_prefix("```") else {
            if let Some((_, lines)) = &mut block {
                lines.push(line);
            }
            continue;
        };
        if let Some(done) = block.take() {
            fences.push(done);
        } else if foreign {
            foreign = false;
        } else if mark.trim() == language {
            block = Some((index + 2, Vec::new()));
        } else {
            foreign = true;
        }
    }
    fences
}

#[test]
fn tables_spans_links_and_fences_are_found() {
    let text = "# A\n| x | y |\n|---|---|\n| `p` | 1 |\n# B\n| q | 2 |\n`s/t` [l](m.md)\n```text\n`no`\n```\n```rust\nfn a();\n```\n";
    let rows = rows_after(text, "A");
    assert_eq!(rows.len(), 1);
    assert_eq!(
        (rows[0].line, bare(rows[0].cell(0)), rows[0].cell(1)),
        (4, "p", "1")
    );
    assert_eq!(spans(text), [(4, "p"), (7, "s/t")]);
    assert_eq!(links(text), [(7, "m.md")]);
    assert_eq!(fences(text, "rust"), [(12, vec!["fn a();"])]);
}
