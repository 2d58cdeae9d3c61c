//! Tables, for terminals and for Markdown.

/// Rows of cells. The first row has the column names.
pub(crate) struct Table(pub(crate) Vec<Vec<String>>);

impl Table {
    /// A table of these columns.
    pub(crate) fn of<const N: usize>(columns: [&str; N]) -> Table {
        Table(vec![columns.map(str::to_owned).to_vec()])
    }

    /// Adds a row.
    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.0.push(cells.to_vec());
    }

    /// The table with aligned columns.
    pub(crate) fn aligned(&self) -> String {
        let columns = self.0[0].len();
        let width = |column: usize| {
            let widths = self.0.iter().map(|row| row[column].chars().count());
            widths.max().unwrap_or_default()
        };
        let widths: Vec<_> = (0..columns).map(width).collect();
        let mut text = String::new();
        for (number, row) in self.0.iter().enumerate() {
            let cells = row.iter().zip(&widths);
            let cells: Vec<_> = cells
                .map(|(cell, width)| format!("{cell:width$}"))
                .collect();
            text.push_str(cells.join("  ").trim_end());
            text.push('\n');
            if number == 0 {
                let lines: Vec<_> = widths.iter().map(|width| "─".repeat(*width)).collect();
                text.push_str(&lines.join("  "));
                text.push('\n');
            }
        }
        text
    }

    /// The table in Markdown.
    pub(crate) fn markdown(&self) -> String {
        let mut text = String::new();
        for (number, row) in self.0.iter().enumerate() {
            text.push_str(&format!("| {} |\n", row.join(" | ")));
            if number == 0 {
                text.push_str(&format!("|{}\n", "---|".repeat(row.len())));
            }
        }
        text
    }
}
