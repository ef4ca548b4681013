//! Bars in groups, as SVG: readable in light and dark, as whoever looks at it prefers.

use std::{error::Error, str::FromStr};

use plotters::{
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

/// A number with its unit, as a table's cell has it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Measure {
    text: String,
    value: f64,
    unit: String,
}

/// Groups of bars, one in each for every series.
#[derive(Debug, Clone)]
pub(super) struct Bars {
    title: String,
    series: Vec<String>,
    groups: Vec<(String, Vec<Measure>)>,
}

const WIDTH: i32 = 760;
const BAR: i32 = 14;
/// Between groups.
const GAP: i32 = 12;
/// Title and legend.
const TOP: i32 = 62;
/// Ticks.
const BOTTOM: i32 = 30;
/// The text behind the longest bar.
const RIGHT: i32 = 84;
/// Of a character, about: nothing here knows the font that will be used.
const CHARACTER: i32 = 7;

const INK: RGBColor = RGBColor(31, 35, 40);
const GRID: RGBColor = RGBColor(208, 215, 222);
/// Apart from each other, and from both backgrounds, also for eyes that tell red and green badly.
const COLORS: [RGBColor; 4] =
    [RGBColor(31, 119, 180), RGBColor(230, 140, 30), RGBColor(130, 130, 130), RGBColor(190, 75, 160)];
/// The background is the page's; ink and grid follow it.
const DARK: &str = r##"<style>@media (prefers-color-scheme: dark) {
text { fill: #E6EDF3 }
line, polyline { stroke: #4A525C }
}</style>
"##;

// === impl Measure ===

impl FromStr for Measure {
    type Err = String;

    fn from_str(cell: &str) -> Result<Self, String> {
        let (number, unit) = cell.split_once(' ').unwrap_or((cell, ""));
        match number.parse::<f64>() {
            Ok(value) if value.is_finite() && value >= 0.0 => {
                Ok(Self { text: cell.to_owned(), value, unit: unit.to_owned() })
            }
            _ => Err(format!("{cell:?} is no length of a bar")),
        }
    }
}

// === impl Bars ===

impl Bars {
    pub(super) fn new(title: &str, series: &[&str]) -> Self {
        let series = series.iter().map(|&name| name.to_owned()).collect();
        Self { title: title.to_owned(), series, groups: Vec::new() }
    }

    /// Adds a group, of a measure for each series.
    pub(super) fn group(&mut self, name: &str, measures: Vec<Measure>) -> Result<(), String> {
        let known = self.groups.iter().flat_map(|(_, measures)| measures);
        let mut units = known.chain(&measures).map(|measure| &measure.unit);
        let first = units.next().cloned().unwrap_or_default();
        if let Some(other) = units.find(|&unit| *unit != first) {
            return Err(format!("bars of {first:?} and {other:?} cannot be compared"));
        }
        self.groups.push((name.to_owned(), measures));
        Ok(())
    }

    /// The drawing.
    pub(super) fn svg(&self) -> Result<String, String> {
        let mut svg = String::new();
        self.paint(&mut svg).map_err(|error| error.to_string())?;
        Ok(svg.replacen(">\n", &format!(">\n{DARK}"), 1))
    }

    fn paint(&self, svg: &mut String) -> Result<(), Box<dyn Error>> {
        let group = BAR * i32::try_from(self.series.len())? + GAP;
        let all = group * i32::try_from(self.groups.len())?;
        let longest = self.groups.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        let left = 20 + CHARACTER * i32::try_from(longest)?;
        let measures = || self.groups.iter().flat_map(|(_, measures)| measures);
        let most = measures().map(|measure| measure.value).fold(f64::MIN_POSITIVE, f64::max);
        let unit = measures().next().map_or("", |measure| &measure.unit);

        let size = (WIDTH.try_into()?, (TOP + all + BOTTOM).try_into()?);
        let root = SVGBackend::with_string(svg, size).into_drawing_area();
        let font = |size: i32| ("sans-serif", size).into_font().color(&INK);
        root.draw(&Text::new(self.title.clone(), (left, 12), font(18)))?;
        let mut right = left;
        for (name, color) in self.series.iter().zip(COLORS.iter().cycle()) {
            root.draw(&Rectangle::new([(right, 39), (right + 11, 50)], color.filled()))?;
            root.draw(&Text::new(name.clone(), (right + 16, 38), font(15)))?;
            right += 40 + CHARACTER * i32::try_from(name.chars().count())?;
        }

        let mut chart = ChartBuilder::on(&root.margin(TOP, 0, left, RIGHT))
            .x_label_area_size(BOTTOM)
            .build_cartesian_2d(0.0..most, 0..all)?;
        chart
            .configure_mesh()
            .disable_y_mesh()
            .disable_y_axis()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID)
            .axis_style(GRID)
            .x_labels(6)
            .x_label_formatter(&|value| {
                format!("{} {unit}", (value * 1e3).round() / 1e3).trim_end().to_owned()
            })
            .label_style(font(14))
            .draw()?;
        let beside = font(14).pos(Pos::new(HPos::Right, VPos::Center));
        let behind = font(14).pos(Pos::new(HPos::Left, VPos::Center));
        // From the top downwards, while the chart counts from its foot.
        let mut top = all - GAP / 2;
        for (name, measures) in &self.groups {
            let middle = TOP + all - top + (group - GAP) / 2;
            root.draw(&Text::new(name.clone(), (left - 8, middle), beside.clone()))?;
            for (measure, color) in measures.iter().zip(COLORS.iter().cycle()) {
                let corners = [(0.0, top), (measure.value, top - BAR + 1)];
                let end = chart.backend_coord(&(measure.value, top - BAR / 2));
                root.draw(&Text::new(measure.text.clone(), (end.0 + 6, end.1), behind.clone()))?;
                chart.draw_series([Rectangle::new(corners, color.filled())])?;
                top -= BAR;
            }
            top -= GAP;
        }
        root.present()?;
        Ok(())
    }
}
