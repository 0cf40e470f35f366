//! Time against group size, both logarithmic, a line for each implementation.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::prelude::*;

use crate::cell::Cell;
use crate::table::microseconds;

/// The operations that are drawn.
pub const DRAWN: [&str; 11] = [
    "create_commit",
    "join_merged",
    "external_commit",
    "update_commit",
    "add_commit",
    "update_process",
    "apply_own",
    "encrypt_1k",
    "decrypt_1k",
    "persist_commit",
    "open",
];

/// Draws an operation on one thread. False if there is nothing to draw: less than two sizes.
///
/// # Errors
/// If the file can't be written.
pub fn draw(cells: &[Cell], operation: &str, file: &Path) -> Result<bool> {
    let mut lines: BTreeMap<usize, (String, Vec<(f64, f64)>)> = BTreeMap::new();
    for cell in cells.iter().filter(|cell| cell.op == operation && cell.threads == 1) {
        if let (Some(time), Some(place)) = (cell.time_us(), place(&cell.implementation)) {
            let line = lines.entry(place).or_insert_with(|| (cell.implementation.clone(), Vec::new()));
            line.1.push((f64::from(cell.n), time));
            if let Some(floor) = cell.floor_us.filter(|_| cell.implementation == FIRST) {
                let line = lines.entry(usize::MAX).or_insert_with(|| ("floor".to_owned(), Vec::new()));
                line.1.push((f64::from(cell.n), floor));
            }
        }
    }
    let points = || lines.values().flat_map(|(_, points)| points);
    let (low, high) = (span(points().map(|point| point.0)), span(points().map(|point| point.1)));
    let (Some((first, last)), Some((least, most))) = (low, high) else { return Ok(false) };
    if first >= last {
        return Ok(false);
    }
    let drawing = SVGBackend::new(file, (860, 520)).into_drawing_area();
    drawing.fill(&WHITE).map_err(failed)?;
    let mut chart = ChartBuilder::on(&drawing)
        .caption(format!("{operation}: time against members"), ("sans-serif", 20))
        .margin(12)
        .margin_right(24)
        .x_label_area_size(40)
        .y_label_area_size(80)
        .build_cartesian_2d((first..last).log_scale(), (least / 2.0..most * 4.0).log_scale())
        .map_err(failed)?;
    chart
        .configure_mesh()
        .x_desc("members")
        .x_label_formatter(&|members| format!("{members:.0}"))
        .y_label_formatter(&|us| microseconds(*us))
        .light_line_style(WHITE)
        .bold_line_style(RGBColor(225, 225, 225))
        .draw()
        .map_err(failed)?;
    for (place, (name, points)) in &lines {
        let style = style(*place);
        let drawn =
            chart.draw_series(LineSeries::new(points.clone(), style).point_size(3)).map_err(failed)?;
        drawn.label(name.clone()).legend(move |(x, y)| PathElement::new([(x, y), (x + 22, y)], style));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.85))
        .border_style(RGBColor(200, 200, 200))
        .label_font(("sans-serif", 14))
        .draw()
        .map_err(failed)?;
    drawing.present().map_err(failed)?;
    Ok(true)
}

fn span(values: impl Iterator<Item = f64> + Clone) -> Option<(f64, f64)> {
    let least = values.clone().reduce(f64::min)?;
    Some((least, values.reduce(f64::max)?))
}

/// Colours by implementation: ours strong, one hue for each of the others.
fn style(place: usize) -> ShapeStyle {
    let colour = COLOURS.get(place).map_or(RGBColor(150, 150, 150), |(_, colour)| *colour);
    colour.stroke_width(if place < 2 { 3 } else { 2 })
}

fn place(implementation: &str) -> Option<usize> {
    COLOURS.iter().position(|(name, _)| *name == implementation)
}

fn failed(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("a plot can't be drawn: {error}")
}

/// The default provider.
const FIRST: &str = "hushwood/aws-lc";
const COLOURS: [(&str, RGBColor); 6] = [
    (FIRST, RGBColor(0, 90, 160)),
    ("hushwood/rustcrypto", RGBColor(90, 175, 235)),
    ("mls-rs/aws-lc", RGBColor(205, 85, 0)),
    ("mls-rs/rustcrypto", RGBColor(240, 170, 70)),
    ("openmls/rustcrypto", RGBColor(25, 130, 75)),
    ("openmls/libcrux", RGBColor(140, 200, 130)),
];
