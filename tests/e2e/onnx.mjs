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

/** One node from `x` (1,4) to `y` (1,4). */
export const onnx = ({ op, name }) =>
  Buffer.concat([
    number(1, 8),
    bytes(
      7,
      bytes(1, bytes(1, "x"), bytes(2, "y"), bytes(3, name), bytes(4, op)),
      bytes(2, "test"),
      bytes(11, ...value("x", [1, 4])),
      bytes(12, ...value("y", [1, 4])),
    ),
    bytes(8, bytes(1, ""), number(2, 13)),
  ]);
