// Package crc combines CRC-32 sums (IEEE, as in ZIP and S3): it gives the sum of two neighbouring
// pieces from the sums of both, without reading a byte again. It computes no sum of bytes.
package crc

// polynomial is the reflected CRC-32 (IEEE) polynomial.
const polynomial = 0xEDB88320

// Combine returns the CRC-32 of a followed by b, where b has n bytes.
//
// Appending n bytes multiplies the register by x^(8n) modulo the polynomial.
// Polynomials are kept reflected: bit 31 is x^0.
func Combine(a, b uint32, n int64) uint32 {
	return multiply(a, power(uint64(n)*8)) ^ b
}

// power returns x^e modulo the polynomial.
func power(e uint64) uint32 {
	result, square := uint32(1)<<31, uint32(1)<<30
	for ; e != 0; e >>= 1 {
		if e&1 != 0 {
			result = multiply(result, square)
		}
		square = multiply(square, square)
	}
	return result
}

// multiply returns a·b modulo the polynomial.
func multiply(a, b uint32) uint32 {
	var product uint32
	for ; a != 0; a <<= 1 { // from x^0 upwards
		product ^= b & -(a >> 31)
		b = b>>1 ^ polynomial&-(b&1) // times x
	}
	return product
}
