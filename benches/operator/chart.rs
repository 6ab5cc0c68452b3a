//! Curves over time as SVG.

use anyhow::{Result, anyhow};
use plotters::prelude::*;

use super::figures::Curve;

const SIZE: (u32, u32) = (900, 360);
/// Told apart by people who see few colours, too (Okabe and Ito).
const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
];

/// Calls in each second. `line` is a limit to draw across.
pub(crate) fn calls_per_second(title: &str, curves: &[Curve], line: f64) -> Result<String> {
    let mut svg = String::new();
    draw(&mut svg, title, curves, line)
        .map_err(|error| anyhow!("the chart {title:?} cannot be drawn: {error}"))?;
    Ok(svg)
}

fn draw(
    svg: &mut String,
    title: &str,
    curves: &[Curve],
    line: f64,
) -> Result<(), Box<dyn std::error::Error>> {
    let seconds = curves.iter().map(|curve| curve.per_second.len()).max().unwrap_or(1) as f64;
    let most = curves.iter().flat_map(|curve| &curve.per_second).copied().fold(line, f64::max);
    let area = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(title, ("sans-serif", 18))
        .margin(12)
        .margin_right(24)
        .x_label_area_size(40)
        .y_label_area_size(52)
        .build_cartesian_2d(0.0..seconds, 0.0..most * 1.3)?;
    chart
        .configure_mesh()
        .x_desc("seconds")
        .y_desc("calls in a second")
        .x_label_formatter(&|x| format!("{x:.0}"))
        .y_label_formatter(&|y| format!("{y:.0}"))
        .label_style(("sans-serif", 13))
        .light_line_style(TRANSPARENT)
        .bold_line_style(BLACK.mix(0.12))
        .draw()?;
    chart.draw_series(LineSeries::new([(0.0, line), (seconds, line)], BLACK.mix(0.5)))?;
    for (curve, colour) in curves.iter().zip(COLOURS.iter().cycle()) {
        // The number of a second is drawn in its middle.
        let points = curve.per_second.iter().enumerate().map(|(second, calls)| (second as f64 + 0.5, *calls));
        chart
            .draw_series(LineSeries::new(points, colour.stroke_width(2)))?
            .label(&curve.name)
            .legend(|(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(3)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .label_font(("sans-serif", 13))
        .background_style(WHITE.mix(0.85))
        .border_style(BLACK.mix(0.2))
        .draw()?;
    area.present()?;
    Ok(())
}
