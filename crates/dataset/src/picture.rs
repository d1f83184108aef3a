//! PNG, JPEG and BMP to 8-bit pixels.
//!
//! Transparency is dropped, 16-bit channels are rounded to 8, and the orientation that a camera
//! noted in the file is applied, as every viewer does.

use std::io::Cursor;

use image::metadata::Orientation;
use image::{DynamicImage, GrayImage, ImageDecoder, ImageFormat, ImageReader, Limits, RgbImage};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use crate::resample::Pixels;

/// Most pixels of one image: a 64-megapixel photograph.
const MAX_PIXELS: u64 = 1 << 26;
const MAX_SIDE: u32 = 1 << 16;

/// What the first bytes of a file say it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Png,
    Jpeg,
    Bmp,
}

/// The format of an image that can be decoded, by its magic.
pub(crate) fn format(bytes: &[u8]) -> Option<Format> {
    match bytes {
        [0x89, b'P', b'N', b'G', ..] => Some(Format::Png),
        [0xff, 0xd8, 0xff, ..] => Some(Format::Jpeg),
        [b'B', b'M', ..] => Some(Format::Bmp),
        _ => None,
    }
}

/// Decodes an image to one channel (`grey`) or to red, green and blue.
///
/// The error is a reason that reads on from the name of the file.
pub(crate) fn decode(bytes: &[u8], format: Format, grey: bool) -> Result<Pixels, String> {
    let image = match format {
        Format::Jpeg => jpeg(bytes)?,
        Format::Png => lossless(bytes, ImageFormat::Png)?,
        Format::Bmp => lossless(bytes, ImageFormat::Bmp)?,
    };
    let (width, height) = (image.width() as usize, image.height() as usize);
    let (channels, data) = match (grey, image.color().has_color()) {
        (true, false) => (1, image.into_luma8().into_raw()),
        (true, true) => (1, luma(&image.into_rgb8())),
        (false, _) => (3, image.into_rgb8().into_raw()),
    };
    Ok(Pixels {
        channels,
        height,
        width,
        data,
    })
}

/// ITU-R BT.601 luma with 16-bit weights, rounded half up.
pub(crate) fn luma(rgb: &[u8]) -> Vec<u8> {
    let weigh = |p: &[u8]| {
        let sum = 19595 * u32::from(p[0]) + 38470 * u32::from(p[1]) + 7471 * u32::from(p[2]);
        ((sum + 32768) >> 16) as u8
    };
    rgb.chunks_exact(3).map(weigh).collect()
}

fn lossless(bytes: &[u8], format: ImageFormat) -> Result<DynamicImage, String> {
    let broken = |e: image::ImageError| format!("is a damaged image: {e}");
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(8 * MAX_PIXELS);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(broken)?;
    let (width, height) = decoder.dimensions();
    check_size(width, height)?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut image = DynamicImage::from_decoder(decoder).map_err(broken)?;
    image.apply_orientation(orientation);
    Ok(image)
}

fn jpeg(bytes: &[u8]) -> Result<DynamicImage, String> {
    let broken = |e: zune_jpeg::errors::DecodeErrors| format!("is a damaged JPEG: {e}");
    // The decoder's vector code is left out: the portable code is what runs in the page, and
    // both sides have to see the same pixels.
    let options = DecoderOptions::default()
        .set_use_unsafe(false)
        .set_strict_mode(false)
        .set_max_width(MAX_SIDE as usize)
        .set_max_height(MAX_SIDE as usize);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(broken)?;
    let info = decoder.info().ok_or("is a JPEG without a header")?;
    let (width, height) = (u32::from(info.width), u32::from(info.height));
    check_size(width, height)?;
    let grey = decoder.input_colorspace() == Some(ColorSpace::Luma);
    let out = if grey {
        ColorSpace::Luma
    } else {
        ColorSpace::RGB
    };
    decoder.set_options(options.jpeg_set_out_colorspace(out));
    let data = decoder.decode().map_err(broken)?;
    let orientation = decoder
        .exif()
        .and_then(|exif| Orientation::from_exif_chunk(exif));
    let image = if grey {
        GrayImage::from_raw(width, height, data).map(DynamicImage::from)
    } else {
        RgbImage::from_raw(width, height, data).map(DynamicImage::from)
    };
    let mut image = image.ok_or("is a JPEG whose size and contents differ")?;
    image.apply_orientation(orientation.unwrap_or(Orientation::NoTransforms));
    Ok(image)
}

fn check_size(width: u32, height: u32) -> Result<(), String> {
    if width == 0 || height == 0 {
        return Err("is an image without pixels".into());
    }
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(format!(
            "is an image of {width} x {height} pixels; the limit is {} megapixels",
            MAX_PIXELS >> 20
        ));
    }
    Ok(())
}
