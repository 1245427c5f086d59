// How failures get out of the shim: nothing throws through its functions.
#pragma once

#include <cstddef>
#include <cstring>
#include <exception>

// 0, or 1 and why it failed in `error`, at most `room` bytes.
template <class F>
int said(char *error, size_t room, F act) {
  try {
    act();
    return 0;
  } catch (const std::exception &thrown) {
    std::strncpy(error, thrown.what(), room - 1);
    error[room - 1] = 0;
    return 1;
  }
}
