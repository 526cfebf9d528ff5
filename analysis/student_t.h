#pragma once

namespace idlewatt {

// The value below which Student's t lies with `probability`, from 0.5 to less than 1. `degrees` of
// freedom need not be whole, and are at least 1; from 100,000 on they make no difference that
// anybody could see. Right to nine digits.
// Threads: any.
double StudentTQuantile(double probability, double degrees);

}  // namespace idlewatt
