//! A Markdown table that also reads well as text.

/// Rows under a header; the first column is left-aligned, the others right.
#[derive(Debug, Clone)]
pub struct Table {
    pub(super) rows: Vec<Vec<String>>,
}

// === impl Table ===

impl Table {
    /// A table with these column names.
    pub fn new(header: &[&str]) -> Self {
        Self { rows: vec![header.iter().map(|&cell| cell.to_owned()).collect()] }
    }

    /// Reads one as [`Self::markdown`] writes it; none if the text is anything else.
    pub fn parse(markdown: &str) -> Option<Self> {
        let row = |line: &str| {
            // A byte no table has stands for an escaped pipe meanwhile.
            let cells = line.strip_prefix('|')?.strip_suffix('|')?.replace("\\|", "\0");
            Some(cells.split('|').map(|cell| cell.trim().replace('\0', "|")).collect::<Vec<_>>())
        };
        let mut rows =
            markdown.trim().lines().map(|line| row(line.trim_end())).collect::<Option<Vec<_>>>()?;
        let is_rule = |cell: &String| cell.starts_with('-') && cell.chars().all(|c| matches!(c, '-' | ':'));
        (rows.len() > 1 && rows.remove(1).iter().all(is_rule)).then_some(Self { rows })
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = impl Into<String>>) {
        self.rows.push(cells.into_iter().map(|cell| cell.into()).collect());
    }

    /// The table as Markdown, padded to equal widths.
    pub fn markdown(&self) -> String {
        let escaped = |row: &Vec<String>| row.iter().map(|cell| cell.replace('|', "\\|")).collect();
        let rows: Vec<Vec<String>> = self.rows.iter().map(escaped).collect();
        let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0).max(3)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut text = String::new();
        for (index, row) in rows.iter().enumerate() {
            for (column, &width) in widths.iter().enumerate() {
                let cell = row.get(column).map_or("", String::as_str);
                match column {
                    0 => text.push_str(&format!("| {cell:<width$} ")),
                    _ => text.push_str(&format!("| {cell:>width$} ")),
                }
            }
            text.push_str("|\n");
            if index == 0 {
                for (column, &width) in widths.iter().enumerate() {
                    let dashes = "-".repeat(width);
                    text.push_str(&if column == 0 { format!("|-{dashes}-") } else { format!("|-{dashes}:") });
                }
                text.push_str("|\n");
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_padded_and_pipes_escaped() {
        let mut table = Table::new(&["what", "p50"]);
        table.row(["a|b", "1.00 ms"]);
        table.row(["short"]);
        assert_eq!(
            table.markdown(),
            "| what  |     p50 |\n|-------|--------:|\n| a\\|b  | 1.00 ms |\n| short |         |\n"
        );
    }

    #[test]
    fn what_was_written_can_be_read() {
        let mut table = Table::new(&["what", "p50", "p95"]);
        table.row(["a|b", "1.00 ms", ""]);
        table.row(["-- short", "-", "2 ms"]);
        let again = Table::parse(&table.markdown()).unwrap();
        assert_eq!(again.rows, table.rows);
        for other in ["", "a | b", "| a |", "| a |\n| b |", "| a |\n|---|\ntext"] {
            assert!(Table::parse(other).is_none(), "{other}");
        }
    }
}
