// The smallest ONNX files a test needs, written field by field (protobuf wire format).

const varint = (n) => {
  const bytes = [];
  for (; n > 127; n = Math.floor(n / 128)) bytes.push((n % 128) | 128);
  return Buffer.from([...bytes, n]);
};
const number = (field, n) => Buffer.concat([varint(field * 8), varint(n)]);
const bytes = (field, ...parts) => {
  const body = Buffer.concat(parts.map((part) => Buffer.from(part)));
  return Buffer.concat([varint(field * 8 + 2), varint(body.length), body]);
};

const value = (name, dims) =>
  [
    bytes(1, name),
    bytes(2, bytes(1, number(1, 1), bytes(2, ...dims.map((dim) => bytes(1, number(1, dim)))))),
  ];

/** One node from `x` to `y`, both of the same shape. */
export const onnx = ({ op, name, dims = [1, 4] }) =>
  Buffer.concat([
    number(1, 8),
    bytes(
      7,
      bytes(1, bytes(1, "x"), bytes(2, "y"), bytes(3, name), bytes(4, op)),
      bytes(2, "test"),
      bytes(11, ...value("x", dims)),
      bytes(12, ...value("y", dims)),
    ),
    bytes(8, bytes(1, ""), number(2, 13)),
  ]);

/** A float32 array of zeros, or of `values`. */
export function npy(shape, values) {
  const header = `{'descr': '<f4', 'fortran_order': False, 'shape': (${shape.join(", ")}), }`;
  const padded = header.padEnd(118 - 1) + "\n";
  const head = Buffer.from([0x93, ...Buffer.from("NUMPY"), 1, 0, padded.length & 255, padded.length >> 8]);
  const body = values ? Buffer.from(Float32Array.from(values).buffer) : Buffer.alloc(4 * shape.reduce((a, b) => a * b, 1));
  return Buffer.concat([head, Buffer.from(padded), body]);
}
