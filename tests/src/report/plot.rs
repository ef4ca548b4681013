//! A table's columns drawn as bars.
//!
//! The document says what is drawn: an image below a table names the columns, as in
//! `![Around /bin/true: p50, p95](plots/wrapper-around.svg)`. So a plot cannot show anything but its table, and can be drawn
//! again from the document alone.

mod bars;

use std::{fs, io, path::Path};

use bars::{Bars, Measure};

use super::Table;

/// Where plots lie, from the document's folder.
const FOLDER: &str = "plots/";

/// The image of a plot, below the table it is of. `name` is of the file, `columns` are the table's.
pub(super) fn image(name: &str, title: &str, columns: &[&str]) -> String {
    format!("![{title}: {}]({FOLDER}{name}.svg)", columns.join(", "))
}

/// Draws every plot a document shows, each into its file; tells their paths from the document's folder.
///
/// # Errors
/// When the document cannot be read or a plot cannot be written, or when a table has not what its plot is to show.
pub fn draw(document: &Path) -> io::Result<Vec<String>> {
    draw_those_of(&fs::read_to_string(document)?, document)
}

/// Draws the plots of a part of the document.
pub(super) fn draw_those_of(part: &str, document: &Path) -> io::Result<Vec<String>> {
    let folder = document.parent().unwrap_or(Path::new("."));
    let plots = plots(part).map_err(|error| {
        io::Error::new(io::ErrorKind::InvalidData, format!("{}: {error}", document.display()))
    })?;
    let mut paths = Vec::new();
    for (path, svg) in plots {
        fs::create_dir_all(folder.join(FOLDER))?;
        fs::write(folder.join(&path), svg)?;
        paths.push(path);
    }
    Ok(paths)
}

/// The plots of a text, by their paths.
fn plots(text: &str) -> Result<Vec<(String, String)>, String> {
    let (mut table, mut plots) = (None, Vec::new());
    // Comments, as a section's markers are, may stand right below.
    let lines: Vec<_> = text.lines().filter(|line| !line.starts_with("<!--")).collect();
    for block in lines.join("\n").split("\n\n").map(str::trim) {
        if let Some(found) = Table::parse(block) {
            table = Some(found);
        } else if let Some((alt, path)) = shown(block) {
            let named = |error: String| format!("{path}: {error}");
            let (title, columns) =
                alt.rsplit_once(": ").ok_or_else(|| named("no columns are named".into()))?;
            let columns: Vec<_> = columns.split(", ").collect();
            let table = table.as_ref().ok_or_else(|| named("no table comes before it".into()))?;
            let bars = of(table, title, &columns).map_err(named)?;
            plots.push((path.to_owned(), bars.svg().map_err(named)?));
        }
    }
    Ok(plots)
}

/// The text and the path of an image that is a plot.
fn shown(block: &str) -> Option<(&str, &str)> {
    let (alt, path) = block.strip_prefix("![")?.strip_suffix(')')?.split_once("](")?;
    (path.starts_with(FOLDER) && path.ends_with(".svg")).then_some((alt, path))
}

/// The bars of these columns. A row is called by its first cell, and by those after it that measure nothing.
fn of(table: &Table, title: &str, columns: &[&str]) -> Result<Bars, String> {
    let (header, rows) = table.rows.split_first().ok_or("the table is empty")?;
    let place = |name: &&str| {
        header.iter().position(|column| column == name).ok_or_else(|| format!("no column is called {name:?}"))
    };
    let places = columns.iter().map(place).collect::<Result<Vec<_>, _>>()?;
    let mut bars = Bars::new(title, columns);
    for row in rows {
        let cell = |&place: &usize| row.get(place).map_or("", String::as_str).parse::<Measure>();
        let measures = places.iter().map(cell).collect::<Result<Vec<_>, _>>()?;
        let more = row.iter().skip(1).take_while(|cell| cell.parse::<Measure>().is_err());
        let name: Vec<_> = row.iter().take(1).chain(more).map(String::as_str).collect();
        bars.group(&name.join(", "), measures)?;
    }
    Ok(bars)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "## Jobs\n\n| jobs | kind  |    p50 |     p95 | per s |\n|------|------:|-------:|--------:|------:|\n\
                        | 1    | bare  | 0.50 s | 1.000 s |     9 |\n| 8    | a\\|b | 0.75 s | 2.000 s |       |\n\n";

    fn drawn(image: &str) -> Result<Vec<(String, String)>, String> {
        plots(&format!("{TEXT}{image}\n\nMore.\n"))
    }

    #[test]
    fn a_plot_shows_the_columns_its_image_names() {
        let plots = drawn(&image("x-jobs", "The end", &["p50", "p95"])).unwrap();
        let [(path, svg)] = &plots[..] else { panic!("{plots:?}") };
        assert_eq!(path, "plots/x-jobs.svg");
        for part in ["The end", "p50", "p95", "1, bare", "8, a|b", "0.50 s", "2.000 s"] {
            assert!(svg.contains(&format!("\n{part}\n")), "{part} in\n{svg}");
        }
        assert!(!svg.contains("per s"), "{svg}");
    }

    #[test]
    fn bars_are_as_long_as_what_they_measure() {
        let svg = drawn(&image("x", "The end", &["p50"])).unwrap().remove(0).1;
        let widths: Vec<f64> = svg
            .lines()
            .filter(|line| line.starts_with("<rect") && !line.contains(r#"width="11""#))
            .map(|line| line.split("width=\"").nth(1).unwrap().split('"').next().unwrap().parse().unwrap())
            .collect();
        let [half, three_quarters] = widths[..] else { panic!("{svg}") };
        assert!((three_quarters / half - 1.5).abs() < 0.02, "{widths:?}");
    }

    #[test]
    fn what_cannot_be_drawn_is_named() {
        for (image, part) in [
            ("![The end: p51](plots/x.svg)", "\"p51\""),
            ("![The end](plots/x.svg)", "no columns"),
            ("![The end: per s](plots/x.svg)", "\"\""),
            ("![The end: p50, per s](plots/x.svg)", "\"\""),
            ("![The end: kind](plots/x.svg)", "\"bare\""),
        ] {
            let error = drawn(image).unwrap_err();
            assert!(error.contains(part) && error.starts_with("plots/x.svg: "), "{error}");
        }
        assert!(plots("![The end: p50](plots/x.svg)").unwrap_err().contains("no table"));
        assert!(drawn("![A picture](../logo.svg)").unwrap().is_empty());
    }

    #[test]
    fn units_are_not_mixed() {
        let text = "| a | b | c |\n|---|--:|--:|\n| x | 1 ms | 2 s |\n\n![T: b, c](plots/x.svg)\n";
        assert!(plots(text).unwrap_err().contains("\"ms\" and \"s\""));
    }
}
