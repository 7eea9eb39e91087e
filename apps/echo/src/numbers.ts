// How statistics are written.

export function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(1);
}

export function whole(value: number): string {
  return Math.round(value).toLocaleString('en');
}
