/** Hands bytes or text to the browser as a download. */
export function save(fileName: string, content: Uint8Array | string, type = "application/octet-stream"): void {
  const address = URL.createObjectURL(new Blob([content as BlobPart], { type }));
  const link = document.createElement("a");
  link.href = address;
  link.download = fileName;
  link.click();
  // The download has begun by then; the address would keep the bytes for the page's lifetime.
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
